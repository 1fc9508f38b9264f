// A child process that dies with this one: forked, awaited and reaped by a thread of its own.
#define _GNU_SOURCE
#include "CNATSSupport.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct lattice_child {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int owners;  // the caller and the keeper thread
    char **arguments;
    char *log_path;
    pid_t process_id;
    bool started;
    bool running;
    int start_error;
    int exit_status;
};

static void free_arguments(char **arguments) {
    if (arguments == NULL) return;
    for (char **argument = arguments; *argument != NULL; argument++) free(*argument);
    free(arguments);
}

static char **copy_arguments(const char *const *arguments) {
    size_t count = 0;
    while (arguments[count] != NULL) count++;
    char **copy = calloc(count + 1, sizeof(char *));
    if (copy == NULL) return NULL;
    for (size_t index = 0; index < count; index++) {
        copy[index] = strdup(arguments[index]);
        if (copy[index] == NULL) {
            free_arguments(copy);
            return NULL;
        }
    }
    return copy;
}

void lattice_child_release(lattice_child *child) {
    pthread_mutex_lock(&child->lock);
    bool last = --child->owners == 0;
    pthread_mutex_unlock(&child->lock);
    if (!last) return;
    pthread_cond_destroy(&child->changed);
    pthread_mutex_destroy(&child->lock);
    free_arguments(child->arguments);
    free(child->log_path);
    free(child);
}

// Runs in the child between fork and exec: only calls that are safe there. `paths` was prepared before the fork.
static void become_program(lattice_child *child, pid_t parent, int error_pipe, char *const *paths) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(127);
    setpgid(0, 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    int input = open("/dev/null", O_RDONLY);
    const char *log_path = child->log_path != NULL ? child->log_path : "/dev/null";
    int output = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int error = errno;
    if (output >= 0) {
        dup2(input, 0);
        dup2(output, 1);
        dup2(output, 2);
        close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
        execvp(child->arguments[0], child->arguments);
        error = errno;
        for (; error == ENOENT && *paths != NULL; paths++) {
            execv(*paths, child->arguments);
            error = errno;
        }
    }
    ssize_t written = write(error_pipe, &error, sizeof error);
    _exit(written == sizeof error ? 127 : 126);
}

// Where Debian puts servers, for users whose PATH lacks it. NULL-terminated; only for names without a slash.
static char **fallback_paths(const char *name) {
    static const char *const directories[] = {"/usr/sbin/", "/usr/local/sbin/", "/usr/local/bin/"};
    char **paths = calloc(4, sizeof(char *));
    if (paths == NULL || strchr(name, '/') != NULL) return paths;
    for (size_t index = 0; index < 3; index++) {
        size_t length = strlen(directories[index]) + strlen(name) + 1;
        paths[index] = malloc(length);
        if (paths[index] == NULL) break;
        strcpy(paths[index], directories[index]);
        strcat(paths[index], name);
    }
    return paths;
}

// Forks and learns through a close-on-exec pipe whether the program could be executed. Returns 0 or an errno.
static int fork_program(lattice_child *child) {
    int error_pipe[2];
    if (pipe2(error_pipe, O_CLOEXEC) != 0) return errno;
    char **paths = fallback_paths(child->arguments[0]);
    if (paths == NULL) {
        close(error_pipe[0]);
        close(error_pipe[1]);
        return ENOMEM;
    }
    pid_t parent = getpid();
    pid_t process_id = fork();
    if (process_id == 0) become_program(child, parent, error_pipe[1], paths);
    int error = process_id < 0 ? errno : 0;
    free_arguments(paths);
    close(error_pipe[1]);
    if (process_id > 0) {
        ssize_t count;
        do count = read(error_pipe[0], &error, sizeof error);
        while (count < 0 && errno == EINTR);
        if (count != sizeof error) error = 0;
        if (error != 0) waitpid(process_id, NULL, 0);
    }
    close(error_pipe[0]);
    child->process_id = process_id;
    return error;
}

// Waits without reaping, so that the process id stays ours until nobody can signal it any more.
static void await_end(lattice_child *child) {
    siginfo_t information;
    int result;
    do result = waitid(P_PID, (id_t)child->process_id, &information, WEXITED | WNOWAIT);
    while (result != 0 && errno == EINTR);
    pthread_mutex_lock(&child->lock);
    child->running = false;
    waitpid(child->process_id, &child->exit_status, 0);
    pthread_cond_broadcast(&child->changed);
    pthread_mutex_unlock(&child->lock);
}

static void *keep(void *closure) {
    lattice_child *child = closure;
    int error = fork_program(child);
    pthread_mutex_lock(&child->lock);
    child->start_error = error;
    child->running = error == 0;
    child->started = true;
    pthread_cond_broadcast(&child->changed);
    pthread_mutex_unlock(&child->lock);
    if (error == 0) await_end(child);
    lattice_child_release(child);
    return NULL;
}

int lattice_child_start(const char *const *arguments, const char *log_path, lattice_child **result) {
    lattice_child *child = calloc(1, sizeof *child);
    if (child == NULL) return ENOMEM;
    pthread_mutex_init(&child->lock, NULL);
    pthread_cond_init(&child->changed, NULL);
    child->owners = 2;
    child->arguments = copy_arguments(arguments);
    child->log_path = log_path != NULL ? strdup(log_path) : NULL;
    pthread_t keeper;
    int error = child->arguments == NULL || (log_path != NULL && child->log_path == NULL) ? ENOMEM : 0;
    if (error == 0) error = pthread_create(&keeper, NULL, keep, child);
    if (error != 0) {
        child->owners = 1;
        lattice_child_release(child);
        return error;
    }
    pthread_detach(keeper);
    pthread_mutex_lock(&child->lock);
    while (!child->started) pthread_cond_wait(&child->changed, &child->lock);
    error = child->start_error;
    pthread_mutex_unlock(&child->lock);
    if (error != 0) {
        lattice_child_release(child);
        return error;
    }
    *result = child;
    return 0;
}

int lattice_child_process_id(const lattice_child *child) { return child->process_id; }

bool lattice_child_is_running(lattice_child *child) {
    pthread_mutex_lock(&child->lock);
    bool running = child->running;
    pthread_mutex_unlock(&child->lock);
    return running;
}

int lattice_child_exit_status(lattice_child *child) {
    pthread_mutex_lock(&child->lock);
    int status = child->exit_status;
    pthread_mutex_unlock(&child->lock);
    return status;
}

void lattice_child_signal(lattice_child *child, int signal_number) {
    pthread_mutex_lock(&child->lock);
    if (child->running) kill(child->process_id, signal_number);
    pthread_mutex_unlock(&child->lock);
}
