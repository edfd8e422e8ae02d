/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * System calls on TCP sockets.
 */
#ifndef AGSIGHT_SOCKET_H
#define AGSIGHT_SOCKET_H

#include "socket-bytes.h"
#include "socket-state.h"

#define PEEK 0x2

enum socket_call_kind {
	/* Of no interest, or not on a TCP socket. */
	SOCKET_CALL_NONE = 0,
	SOCKET_CALL_MOVES = 1,
	SOCKET_CALL_ACCEPTS = 2,
};

/*
 * A system call of a followed process begins; `file` is that of its first argument. Returns what `socket_call_exit` has to
 * know when it has returned.
 */
static __always_inline __u32 socket_call_enter(__u64 id, struct process *process, __u32 number, const __u64 *arguments,
					       struct file *file)
{
	struct movement movement = { .file = file,
				     .root_pid = process->root_pid,
				     .address = arguments[1],
				     .length = arguments[2] };
	__u32 flags = 0;

	switch (number) {
	case CALL_NUMBER(45, 207): /* recvfrom */
		flags = arguments[3];
		movement.receive = 1;
		break;
	case CALL_NUMBER(0, 63): /* read */
		movement.receive = 1;
		break;
	case CALL_NUMBER(19, 65): /* readv */
		movement.receive = 1;
		movement.is_vector = 1;
		break;
	case CALL_NUMBER(20, 66): /* writev */
		movement.is_vector = 1;
		break;
	case CALL_NUMBER(47, 212): /* recvmsg */
		flags = arguments[2];
		movement.receive = 1;
		movement.is_message = 1;
		break;
	case CALL_NUMBER(46, 211): /* sendmsg */
		movement.is_message = 1;
		break;
	case CALL_NUMBER(1, 64): /* write */
	case CALL_NUMBER(44, 206): /* sendto */
		break;
	case CALL_NUMBER(307, 269): /* sendmmsg */
		movement.opaque = OPAQUE_MESSAGES;
		break;
	case CALL_NUMBER(299, 243): /* recvmmsg */
		flags = arguments[3];
		movement.receive = 1;
		movement.opaque = OPAQUE_MESSAGES;
		break;
	case CALL_NUMBER(40, 71): /* sendfile */
		movement.opaque = OPAQUE_FILE;
		break;
	case CALL_NUMBER(275, 76): /* splice */
		movement.opaque = OPAQUE_FILE;
		/* One end is a pipe. */
		file = file_of(arguments[2]);
		movement.receive = !tcp_socket_of(file);
		if (!movement.receive)
			movement.file = file;
		break;
	case CALL_NUMBER(43, 202): /* accept */
	case CALL_NUMBER(288, 242): /* accept4 */
		return SOCKET_CALL_ACCEPTS;
	default:
		return SOCKET_CALL_NONE;
	}
	if (movement.receive && flags & PEEK)
		return SOCKET_CALL_NONE;
	return socket_enter(id, &movement) ? SOCKET_CALL_MOVES : SOCKET_CALL_NONE;
}

/* The call has returned. */
static __always_inline void socket_call_exit(__u64 id, __u32 root_pid, __u32 kind, __s64 result)
{
	if (kind == SOCKET_CALL_MOVES)
		socket_exit(id, result);
	else if (result >= 0)
		socket_accepted(id, root_pid, result);
}

#endif
