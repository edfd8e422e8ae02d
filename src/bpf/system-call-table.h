/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * Which system calls are followed, by their numbers on each architecture, and where their arguments are.
 * Sources: the kernel's syscall_64.tbl, include/uapi/asm-generic/unistd.h and the manual pages.
 */
#ifndef AGSIGHT_SYSTEM_CALL_TABLE_H
#define AGSIGHT_SYSTEM_CALL_TABLE_H

#include "record.h"

/* Followed calls that are no operation of their own; the numbers go on from enum operation. Others have no entry. */
enum {
	/* Moves bytes from one file to another. */
	CALL_COPY = 64,
	CALL_CLOSE,
	CALL_IO_URING,
	/* Moves bytes over a socket, or accepts a connection: socket.h tells which. */
	CALL_SOCKET,
};

/* Positions count from 1; 0 means that the call has no such argument. */
struct call_form {
	__u8 operation;
	/* The file, as a descriptor or as a path below a directory's descriptor. */
	__u8 descriptor;
	__u8 directory;
	__u8 path;
	/* What it is renamed or linked to; of a copy, the descriptor that is read. */
	__u8 target_directory;
	__u8 target;
	/* The first of the arguments that are kept as values. */
	__u8 values;
	__u8 offset;
	/* Whether it moves a vector of buffers instead of one. */
	__u8 vector;
};

#define MAX_CALL 512

#if defined(__TARGET_ARCH_x86)
#define CALL(x86, arm64) [x86]
#define ONLY_X86(x86) [x86]
#elif defined(__TARGET_ARCH_arm64)
#define CALL(x86, arm64) [arm64]
/* Slots that no system call has. */
#define ONLY_X86(x86) [MAX_CALL - 1 - __COUNTER__]
#endif
#define EVERY(number) [number]

static const struct call_form call_forms[MAX_CALL] = {
	CALL(0, 63) = { .operation = OPERATION_READ, .descriptor = 1 }, /* read */
	CALL(17, 67) = { .operation = OPERATION_READ, .descriptor = 1, .offset = 4 }, /* pread64 */
	CALL(19, 65) = { .operation = OPERATION_READ, .descriptor = 1, .vector = 1 }, /* readv */
	CALL(295, 69) = { .operation = OPERATION_READ, .descriptor = 1, .offset = 4, .vector = 1 }, /* preadv */
	CALL(327, 286) = { .operation = OPERATION_READ, .descriptor = 1, .offset = 4, .vector = 1 }, /* preadv2 */
	CALL(1, 64) = { .operation = OPERATION_WRITE, .descriptor = 1 }, /* write */
	CALL(18, 68) = { .operation = OPERATION_WRITE, .descriptor = 1, .offset = 4 }, /* pwrite64 */
	CALL(20, 66) = { .operation = OPERATION_WRITE, .descriptor = 1, .vector = 1 }, /* writev */
	CALL(296, 70) = { .operation = OPERATION_WRITE, .descriptor = 1, .offset = 4, .vector = 1 }, /* pwritev */
	CALL(328, 287) = { .operation = OPERATION_WRITE, .descriptor = 1, .offset = 4, .vector = 1 }, /* pwritev2 */
	CALL(40, 71) = { .operation = CALL_COPY, .descriptor = 1, .target = 2 }, /* sendfile */
	CALL(326, 285) = { .operation = CALL_COPY, .descriptor = 3, .target = 1 }, /* copy_file_range */
	CALL(275, 76) = { .operation = CALL_COPY, .descriptor = 3, .target = 1 }, /* splice */
	CALL(3, 57) = { .operation = CALL_CLOSE, .descriptor = 1 }, /* close */
	EVERY(426) = { .operation = CALL_IO_URING }, /* io_uring_enter */
	CALL(43, 202) = { .operation = CALL_SOCKET }, /* accept */
	CALL(288, 242) = { .operation = CALL_SOCKET }, /* accept4 */
	CALL(44, 206) = { .operation = CALL_SOCKET }, /* sendto */
	CALL(45, 207) = { .operation = CALL_SOCKET }, /* recvfrom */
	CALL(46, 211) = { .operation = CALL_SOCKET }, /* sendmsg */
	CALL(47, 212) = { .operation = CALL_SOCKET }, /* recvmsg */
	CALL(307, 269) = { .operation = CALL_SOCKET }, /* sendmmsg */
	CALL(299, 243) = { .operation = CALL_SOCKET }, /* recvmmsg */

	ONLY_X86(2) = { .operation = OPERATION_OPEN, .path = 1, .values = 2 }, /* open */
	ONLY_X86(85) = { .operation = OPERATION_OPEN, .path = 1 }, /* creat */
	CALL(257, 56) = { .operation = OPERATION_OPEN, .directory = 1, .path = 2, .values = 3 }, /* openat */
	EVERY(437) = { .operation = OPERATION_OPEN, .directory = 1, .path = 2, .values = 3 }, /* openat2 */
	ONLY_X86(133) = { .operation = OPERATION_CREATE, .path = 1, .values = 2 }, /* mknod */
	CALL(259, 33) = { .operation = OPERATION_CREATE, .directory = 1, .path = 2, .values = 3 }, /* mknodat */
	ONLY_X86(87) = { .operation = OPERATION_DELETE, .path = 1 }, /* unlink */
	CALL(263, 35) = { .operation = OPERATION_DELETE, .directory = 1, .path = 2, .values = 3 }, /* unlinkat */
	ONLY_X86(84) = { .operation = OPERATION_RMDIR, .path = 1 }, /* rmdir */
	ONLY_X86(83) = { .operation = OPERATION_MKDIR, .path = 1, .values = 2 }, /* mkdir */
	CALL(258, 34) = { .operation = OPERATION_MKDIR, .directory = 1, .path = 2, .values = 3 }, /* mkdirat */
	ONLY_X86(82) = { .operation = OPERATION_RENAME, .path = 1, .target = 2 }, /* rename */
	CALL(264, 38) = { .operation = OPERATION_RENAME, .directory = 1, .path = 2, .target_directory = 3, .target = 4 }, /* renameat */
	CALL(316, 276) = { .operation = OPERATION_RENAME, .directory = 1, .path = 2, .target_directory = 3, .target = 4,
			   .values = 5 }, /* renameat2 */
	ONLY_X86(86) = { .operation = OPERATION_LINK, .path = 1, .target = 2 }, /* link */
	CALL(265, 37) = { .operation = OPERATION_LINK, .directory = 1, .path = 2, .target_directory = 3, .target = 4,
			  .values = 5 }, /* linkat */
	ONLY_X86(88) = { .operation = OPERATION_SYMLINK, .path = 2, .target = 1 }, /* symlink */
	CALL(266, 36) = { .operation = OPERATION_SYMLINK, .directory = 2, .path = 3, .target = 1 }, /* symlinkat */
	CALL(76, 45) = { .operation = OPERATION_TRUNCATE, .path = 1, .values = 2 }, /* truncate */
	CALL(77, 46) = { .operation = OPERATION_TRUNCATE, .descriptor = 1, .values = 2 }, /* ftruncate */
	CALL(285, 47) = { .operation = OPERATION_ALLOCATE, .descriptor = 1, .values = 2 }, /* fallocate */
	ONLY_X86(90) = { .operation = OPERATION_CHMOD, .path = 1, .values = 2 }, /* chmod */
	CALL(91, 52) = { .operation = OPERATION_CHMOD, .descriptor = 1, .values = 2 }, /* fchmod */
	CALL(268, 53) = { .operation = OPERATION_CHMOD, .directory = 1, .path = 2, .values = 3 }, /* fchmodat */
	EVERY(452) = { .operation = OPERATION_CHMOD, .directory = 1, .path = 2, .values = 3 }, /* fchmodat2 */
	ONLY_X86(92) = { .operation = OPERATION_CHOWN, .path = 1, .values = 2 }, /* chown */
	ONLY_X86(94) = { .operation = OPERATION_CHOWN, .path = 1, .values = 2 }, /* lchown */
	CALL(93, 55) = { .operation = OPERATION_CHOWN, .descriptor = 1, .values = 2 }, /* fchown */
	CALL(260, 54) = { .operation = OPERATION_CHOWN, .directory = 1, .path = 2, .values = 3 }, /* fchownat */
	CALL(9, 222) = { .operation = OPERATION_MAP, .descriptor = 5, .values = 2 }, /* mmap */

	CALL(105, 146) = { .operation = OPERATION_SETUID, .values = 1 },
	CALL(106, 144) = { .operation = OPERATION_SETGID, .values = 1 },
	CALL(113, 145) = { .operation = OPERATION_SETREUID, .values = 1 },
	CALL(114, 143) = { .operation = OPERATION_SETREGID, .values = 1 },
	CALL(117, 147) = { .operation = OPERATION_SETRESUID, .values = 1 },
	CALL(119, 149) = { .operation = OPERATION_SETRESGID, .values = 1 },
	CALL(126, 91) = { .operation = OPERATION_CAPSET, .values = 1 },
	CALL(42, 203) = { .operation = OPERATION_CONNECT, .values = 1 },
	CALL(59, 221) = { .operation = OPERATION_EXEC, .path = 1 }, /* execve */
	CALL(322, 281) = { .operation = OPERATION_EXEC, .directory = 1, .path = 2 }, /* execveat */
};

#if defined(__TARGET_ARCH_x86)
#define CALL_CREAT 85
#endif
#define CALL_OPENAT2 437

#endif
