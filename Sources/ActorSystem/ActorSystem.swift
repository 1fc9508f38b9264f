// empty until its slice
