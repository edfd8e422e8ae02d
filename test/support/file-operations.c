/*
 * Makes each followed system call at least once, by its number, and keeps its own record of what it asked for and
 * what came of it: what a capture of it must hold is exact.
 *
 * Usage: file-operations DIRECTORY [threads]. Works in DIRECTORY, which must be empty. Prints one line per call:
 *   operation, errno, path, target, mode, owner, group, each behind a tab; paths as they were given, "-" for none.
 * With `threads`, eight threads write to and rename files of their own at the same time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_io_uring_enter
#define SYS_io_uring_setup 425
#define SYS_io_uring_enter 426
#endif

static char told[1 << 16];
static size_t told_length;

static void tell(const char *operation, long result, const char *path, const char *target, long mode, long owner, long group)
{
	int error = result < 0 ? errno : 0;

	told_length += snprintf(told + told_length, sizeof(told) - told_length, "%s\t%d\t%s\t%s\t%ld\t%ld\t%ld\n", operation, error,
				path, target, mode, owner, group);
}

/* To io_uring: a request that does nothing, and a write of no bytes, which is to be counted. */
static void submit_to_ring(void)
{
	struct io_uring_params form = {};
	int ring = syscall(SYS_io_uring_setup, 2, &form);

	if (ring < 0)
		return;

	char *queue = mmap(NULL, form.sq_off.array + 2 * sizeof(__u32), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	struct io_uring_sqe *requests =
		mmap(NULL, 2 * sizeof(*requests), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);

	memset(requests, 0, 2 * sizeof(*requests));
	requests[0].opcode = IORING_OP_NOP;
	requests[1].opcode = IORING_OP_WRITE;
	requests[1].fd = 1;
	((__u32 *)(queue + form.sq_off.array))[0] = 0;
	((__u32 *)(queue + form.sq_off.array))[1] = 1;
	__atomic_store_n((__u32 *)(queue + form.sq_off.tail), 2, __ATOMIC_RELEASE);
	syscall(SYS_io_uring_enter, ring, 2, 2, IORING_ENTER_GETEVENTS, NULL, 0);
	close(ring);
}

static void print_told(void)
{
	for (size_t done = 0; done < told_length;) {
		long written = write(1, told + done, told_length - done);

		if (written <= 0)
			exit(1);
		done += written;
	}
	told_length = 0;
}

#define NAMES(operation, call, path) tell(operation, call, path, "-", -1, -1, -1)
#define PAIR(operation, call, path, target) tell(operation, call, path, target, -1, -1, -1)
#define MODE(operation, call, path, mode) tell(operation, call, path, "-", mode, -1, -1)
#define OWNER(call, path, owner, group) tell("chown", call, path, "-", -1, owner, group)

static int opened(const char *operation, long descriptor, const char *path)
{
	NAMES(operation, descriptor, path);
	return (int)descriptor;
}

static void names(int directory)
{
	struct { unsigned long long flags, mode, resolve; } how = { O_WRONLY | O_CREAT, 0640, 0 };

#ifdef SYS_open
	close(opened("create", syscall(SYS_open, "opened", O_WRONLY | O_CREAT, 0644), "opened"));
	close(opened("create", syscall(SYS_creat, "created", 0600), "created"));
	NAMES("create", syscall(SYS_mknod, "node", S_IFREG | 0644, 0), "node");
	NAMES("mkdir", syscall(SYS_mkdir, "old", 0755), "old");
	PAIR("rename", syscall(SYS_rename, "opened", "renamed"), "opened", "renamed");
	PAIR("link", syscall(SYS_link, "created", "linked"), "created", "linked");
	PAIR("symlink", syscall(SYS_symlink, "created", "pointer"), "pointer", "created");
	MODE("chmod", syscall(SYS_chmod, "created", 0604), "created", 0604);
	OWNER(syscall(SYS_chown, "created", 1, 2), "created", 1, 2);
	OWNER(syscall(SYS_lchown, "pointer", 3, 4), "pointer", 3, 4);
	NAMES("delete", syscall(SYS_unlink, "linked"), "linked");
	NAMES("rmdir", syscall(SYS_rmdir, "old"), "old");
	NAMES("rmdir", syscall(SYS_rmdir, "missing/"), "missing");
#endif
	close(opened("create", syscall(SYS_openat, directory, "below", O_WRONLY | O_CREAT | O_EXCL, 0644), "sub/below"));
	opened("create", syscall(SYS_openat, directory, "below", O_WRONLY | O_CREAT | O_EXCL, 0644), "sub/below");
	close(opened("open", syscall(SYS_openat, AT_FDCWD, "./sub//below", O_WRONLY | O_CREAT, 0644), "sub/below"));
	close(opened("open", syscall(SYS_openat, AT_FDCWD, "sub/below", O_RDWR), "sub/below"));
	opened("open", syscall(SYS_openat, AT_FDCWD, "missing", O_WRONLY), "missing");
	close(opened("create", syscall(SYS_openat2, AT_FDCWD, "sub/../second", &how, sizeof(how)), "second"));
	NAMES("create", syscall(SYS_mknodat, directory, "node", S_IFREG | 0644, 0), "sub/node");
	NAMES("mkdir", syscall(SYS_mkdirat, directory, "deep", 0700), "sub/deep");
	PAIR("rename", syscall(SYS_renameat2, AT_FDCWD, "second", directory, "third", 0), "second", "sub/third");
	PAIR("rename", syscall(SYS_renameat2, directory, "third", directory, "below", 1), "sub/third", "sub/below");
#ifdef SYS_renameat
	PAIR("rename", syscall(SYS_renameat, directory, "third", AT_FDCWD, "second"), "sub/third", "second");
	PAIR("rename", syscall(SYS_renameat, AT_FDCWD, "second", directory, "third"), "second", "sub/third");
#endif
	PAIR("link", syscall(SYS_linkat, directory, "third", AT_FDCWD, "fourth", 0), "sub/third", "fourth");
	PAIR("symlink", syscall(SYS_symlinkat, "../fourth", directory, "arrow"), "sub/arrow", "../fourth");
	NAMES("truncate", syscall(SYS_truncate, "sub/../fourth", 7), "fourth");
	MODE("chmod", syscall(SYS_fchmodat, directory, "third", 0611), "sub/third", 0611);
	MODE("chmod", syscall(SYS_fchmodat2, directory, "third", 0622, 0), "sub/third", 0622);
	MODE("chmod", syscall(SYS_fchmodat, AT_FDCWD, "/missing-for-agsight", 0777), "/missing-for-agsight", 0777);
	OWNER(syscall(SYS_fchownat, directory, "third", 5, -1, 0), "sub/third", 5, 4294967295);
	NAMES("delete", syscall(SYS_unlinkat, directory, "third", 0), "sub/third");
	NAMES("rmdir", syscall(SYS_unlinkat, directory, "deep", AT_REMOVEDIR), "sub/deep");
	NAMES("delete", syscall(SYS_unlinkat, AT_FDCWD, "/missing-for-agsight", 0), "/missing-for-agsight");
}

static void contents(void)
{
	struct iovec two[] = { { "abc", 3 }, { "defg", 4 } };
	char buffer[64], rest[64];
	struct iovec into[] = { { buffer, 3 }, { rest, sizeof(rest) } };
	int source = opened("create", syscall(SYS_openat, AT_FDCWD, "data", O_RDWR | O_CREAT, 0644), "data");
	int copy = opened("create", syscall(SYS_openat, AT_FDCWD, "copy", O_RDWR | O_CREAT, 0644), "copy");
	int pipes[2];
	long size;

	/* 10 + 7 + 5 + 7 + 7 bytes, then truncated to 40. */
	if (pipe(pipes) || syscall(SYS_write, source, "0123456789", 10) != 10 || syscall(SYS_writev, source, two, 2) != 7 ||
	    syscall(SYS_pwrite64, source, "01234", 5, 2) != 5 || syscall(SYS_pwritev, source, two, 2, 17, 0) != 7 ||
	    syscall(SYS_pwritev2, source, two, 2, 24, 0, 0) != 7)
		exit(1);
	NAMES("truncate", syscall(SYS_ftruncate, source, 40), "data");
	NAMES("allocate", syscall(SYS_fallocate, source, 0, 0, 50), "data");
	MODE("chmod", syscall(SYS_fchmod, source, 0606), "data", 0606);
	OWNER(syscall(SYS_fchown, source, 6, 7), "data", 6, 7);
	/* 10 + 20 + 30 + 8 + 9 bytes. */
	lseek(source, 0, SEEK_SET);
	if (syscall(SYS_read, source, buffer, 10) != 10 || syscall(SYS_pread64, source, buffer, 20, 1) != 20)
		exit(1);
	into[1].iov_len = 27;
	if (syscall(SYS_readv, source, into, 2) != 30)
		exit(1);
	into[1].iov_len = 5;
	if (syscall(SYS_preadv, source, into, 2, 0, 0) != 8)
		exit(1);
	into[1].iov_len = 6;
	if (syscall(SYS_preadv2, source, into, 2, 0, 0, 0) != 9)
		exit(1);
	/* 11 + 12 + 13 bytes from one to the other. */
	lseek(source, 0, SEEK_SET);
	size = syscall(SYS_sendfile, copy, source, NULL, 11);
	size += syscall(SYS_copy_file_range, source, NULL, copy, NULL, 12, 0);
	size += syscall(SYS_splice, source, NULL, pipes[1], NULL, 13, 0) - 13;
	size += syscall(SYS_splice, pipes[0], NULL, copy, NULL, 13, 0);
	if (size != 36)
		exit(1);
	/* What is no regular file is not told: 5 bytes through a pipe. */
	if (write(pipes[1], "12345", 5) != 5 || read(pipes[0], buffer, 5) != 5)
		exit(1);
	close(source);
	close(copy);
}

static void permissions(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { { 1 << CAP_CHOWN, 1 << CAP_CHOWN | 1 << CAP_SETUID, 0 } };

	NAMES("setresgid", syscall(SYS_setresgid, -1, 100, 101), "-");
	NAMES("setregid", syscall(SYS_setregid, 102, 103), "-");
	NAMES("setgid", syscall(SYS_setgid, 104), "-");
	NAMES("capset", syscall(SYS_capset, &header, data), "-");
	NAMES("setreuid", syscall(SYS_setreuid, 105, -1), "-");
	NAMES("setresuid", syscall(SYS_setresuid, 106, 107, 107), "-");
	NAMES("setgid", syscall(SYS_setgid, 0), "-");
	NAMES("setuid", syscall(SYS_setuid, 0), "-");
	OWNER(syscall(SYS_fchownat, AT_FDCWD, "data", 0, 0, 0), "data", 0, 0);
}

static void *write_and_rename(void *number)
{
	char from[32], to[32];

	snprintf(from, sizeof(from), "from-%ld", (long)number);
	snprintf(to, sizeof(to), "to-%ld", (long)number);
	for (int i = 0; i < 200; i++) {
		int file = open(from, O_WRONLY | O_CREAT | O_TRUNC, 0644);

		if (file < 0 || write(file, "0123456789", 10) != 10 || close(file) || rename(from, to))
			exit(1);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc < 2 || chdir(argv[1]))
		return 1;
	if (argc > 2) {
		pthread_t threads[8];

		for (long i = 0; i < 8; i++)
			pthread_create(&threads[i], NULL, write_and_rename, (void *)i);
		for (int i = 0; i < 8; i++)
			pthread_join(threads[i], NULL);
		return 0;
	}
	NAMES("mkdir", mkdirat(AT_FDCWD, "sub", 0755), "sub");
	names(open("sub", O_RDONLY | O_DIRECTORY));
	contents();
	print_told();
	submit_to_ring();

#ifdef __x86_64__
	/* In a child: a kernel without calls of 32 bits ends it. getpid is 20 there, and writev here. */
	if (fork() == 0) {
		long result = 20;

		asm volatile("int $0x80" : "+a"(result) : : "r8", "r9", "r10", "r11", "memory");
		_exit(result == getpid() ? 32 : 0);
	}
	wait(NULL);
#endif
	if (fork() == 0) {
		permissions();
		print_told();
		_exit(9);
	}
	wait(NULL);
	if (fork() == 0) {
		char *arguments[] = { "true", "an argument", NULL };

		if (chdir("sub"))
			_exit(1);
		execv("/missing-for-agsight", arguments);
		execv("/bin/true", arguments);
	}
	wait(NULL);
	return 0;
}
