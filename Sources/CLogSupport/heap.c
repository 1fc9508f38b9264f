// The heap of glibc: Swift's module map of it does not have malloc.h.
#include "CLogSupport.h"

#include <malloc.h>

void clog_trim_heap(void) { malloc_trim(0); }
