// How many files and connections the process may have open at once.
#include "CLogSupport.h"

#include <sys/resource.h>

// Beyond this nobody needs more, and programs that we start may walk through all of them.
#define ENOUGH 1048576

int64_t clog_raise_open_files(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
    rlim_t wanted = limit.rlim_max < ENOUGH ? limit.rlim_max : ENOUGH;
    if (limit.rlim_cur < wanted) {
        struct rlimit raised = {.rlim_cur = wanted, .rlim_max = limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
    }
    return limit.rlim_cur < ENOUGH ? (int64_t)limit.rlim_cur : ENOUGH;
}
