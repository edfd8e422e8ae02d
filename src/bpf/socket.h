/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * TCP sockets of the followed processes: who connects and listens where, who ends a connection, and the bytes of those
 * that speak plain HTTP as a client. Sockets that carry TLS are not copied; which connection of a TLS library is
 * on them is told, so that its end is known.
 */
#ifndef AGSIGHT_SOCKET_H
#define AGSIGHT_SOCKET_H

#include "tls.h"

/* Parts of kernel types, under names of their own: what follows ___ does not count. */
struct in6_addr___socket {
	__u8 bytes[16];
} RELOCATED;

struct sock_common___socket {
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	__u16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	struct in6_addr___socket skc_v6_daddr;
	struct in6_addr___socket skc_v6_rcv_saddr;
} RELOCATED;

struct sock___socket {
	struct sock_common___socket __sk_common;
	__u16 sk_protocol;
	unsigned char sk_shutdown;
	int sk_err;
} RELOCATED;

struct tcp_sock___socket {
	__u64 bytes_received;
	__u64 bytes_sent;
	__u64 bytes_retrans;
} RELOCATED;

struct socket___socket {
	short type;
	struct sock___socket *sk;
} RELOCATED;

struct inode___socket {
	unsigned short i_mode;
} RELOCATED;

struct file___socket {
	struct inode___socket *f_inode;
	void *private_data;
} RELOCATED;

struct fdtable___socket {
	unsigned int max_fds;
	struct file___socket **fd;
} RELOCATED;

struct files_struct___socket {
	struct fdtable___socket *fdt;
} RELOCATED;

struct task_struct___socket {
	struct files_struct___socket *files;
} RELOCATED;

#define FILE_TYPE_MASK 0170000
#define FILE_TYPE_SOCKET 0140000
#define TYPE_STREAM 1
#define PROTOCOL_TCP 6
#define FAMILY_INET 2
#define FAMILY_INET6 10
#define STATE_ESTABLISHED 1
#define STATE_SYN_SENT 2
#define STATE_FIN_WAIT1 4
#define STATE_FIN_WAIT2 5
#define STATE_CLOSE 7
#define STATE_CLOSE_WAIT 8
#define STATE_LAST_ACK 9
#define STATE_LISTEN 10
#define STATE_CLOSING 11
#define SHUT_BOTH 3
#define PEEK 0x2
#define MAX_SEGMENTS 1024

/* A call in progress on a socket whose bytes are copied, or may be. In a map for the same reason as `calls`. */
struct socket_call {
	struct call call;
	__u64 socket;
	/* The pieces of memory after the current one. */
	__u64 vector;
	__u64 vector_left;
	/* Bytes in them. */
	__u64 remaining;
	/* OPAQUE_… */
	__u64 opaque;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct socket_call);
} socket_calls SEC(".maps");

static __always_inline struct file___socket *file_behind(__u32 descriptor)
{
	struct task_struct___socket *task = (void *)bpf_get_current_task();
	struct fdtable___socket *table = BPF_CORE_READ(task, files, fdt);
	struct file___socket **files = BPF_CORE_READ(table, fd);
	struct file___socket *file = 0;

	if (descriptor < BPF_CORE_READ(table, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), files + descriptor);
	return file;
}

static __always_inline struct sock___socket *tcp_socket_of(__u32 descriptor)
{
	struct file___socket *file = file_behind(descriptor);

	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & FILE_TYPE_MASK) != FILE_TYPE_SOCKET)
		return 0;

	struct socket___socket *socket = BPF_CORE_READ(file, private_data);

	if (BPF_CORE_READ(socket, type) != TYPE_STREAM)
		return 0;

	struct sock___socket *sk = BPF_CORE_READ(socket, sk);
	unsigned short family = BPF_CORE_READ(sk, __sk_common.skc_family);

	if ((family != FAMILY_INET && family != FAMILY_INET6) || BPF_CORE_READ(sk, sk_protocol) != PROTOCOL_TCP)
		return 0;
	return sk;
}

static __always_inline struct socket_state *add_socket(struct sock___socket *sk, __u32 pid, __u32 root_pid,
						       __u32 content, __u32 seen_from_start)
{
	__u64 key = (__u64)sk;
	struct socket_state state = {
		.id = bpf_ktime_get_ns() << 8 | (bpf_get_smp_processor_id() & 0xff),
		.pid = pid,
		.root_pid = root_pid,
		.content = content,
		.seen_from_start = seen_from_start,
		.local_port = BPF_CORE_READ(sk, __sk_common.skc_num),
	};

	bpf_get_current_comm(state.comm, sizeof(state.comm));
	if (bpf_map_update_elem(&sockets, &key, &state, BPF_ANY)) {
		count(COUNTER_SOCKETS_FULL);
		return 0;
	}
	return bpf_map_lookup_elem(&sockets, &key);
}

static __noinline int record_socket(struct sock___socket *sk, struct socket_state *state, __u32 operation)
{
	if (!state)
		return 0;

	struct socket_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record) {
		count(COUNTER_PROCESS_RING_FULL);
		return 0;
	}
	fill_header(&record->header, RECORD_SOCKET, bpf_ktime_get_ns(), state->root_pid);
	/* The kernel's own work on a connection happens in whatever process runs. */
	if (record->header.pid != state->pid) {
		record->header.pid = state->pid;
		record->header.tid = state->pid;
		__builtin_memcpy(record->header.comm, state->comm, sizeof(state->comm));
	}
	record->connection = state->id;
	record->carries = state->carries;
	record->sent = BPF_CORE_READ((struct tcp_sock___socket *)sk, bytes_sent) -
		       BPF_CORE_READ((struct tcp_sock___socket *)sk, bytes_retrans);
	/* TCP counts the end of the stream as a byte. */
	record->received = BPF_CORE_READ((struct tcp_sock___socket *)sk, bytes_received) - state->has_fin;
	record->operation = operation;
	record->ended_by = state->ended_by;
	record->end_time = state->end_time;
	record->send_time = state->send_time;
	record->error = state->error;
	record->content = state->content;
	record->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	record->local_port = state->local_port;
	record->remote_port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	record->reserved = 0;
	__builtin_memset(record->local, 0, sizeof(record->local));
	__builtin_memset(record->remote, 0, sizeof(record->remote));
	if (record->family == FAMILY_INET6) {
		bpf_core_read(record->local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_core_read(record->remote, 16, &sk->__sk_common.skc_v6_daddr);
	} else {
		bpf_core_read(record->local, 4, &sk->__sk_common.skc_rcv_saddr);
		bpf_core_read(record->remote, 4, &sk->__sk_common.skc_daddr);
	}
	submit(record);
	return 0;
}

/* Every change of state of every connection of the machine: rare enough. */
SEC("raw_tp/inet_sock_set_state")
int on_socket_state(struct bpf_raw_tracepoint_args *ctx)
{
	struct sock___socket *sk = (void *)ctx->args[0];
	int before = (int)ctx->args[1], after = (int)ctx->args[2];
	__u64 key = (__u64)sk;
	struct socket_state *state;
	__u32 ended_by = 0;

	if (BPF_CORE_READ(sk, sk_protocol) != PROTOCOL_TCP)
		return 0;
	if (after == STATE_SYN_SENT || after == STATE_LISTEN) {
		__u32 pid = bpf_get_current_pid_tgid() >> 32;
		struct process *process = bpf_map_lookup_elem(&processes, &pid);

		if (!process)
			return 0;

		__u32 content = after == STATE_LISTEN ? SOCKET_CONTENT_NONE : SOCKET_CONTENT_UNKNOWN;

		state = add_socket(sk, pid, process->root_pid, content, 1);
		if (state && after == STATE_LISTEN)
			record_socket(sk, state, SOCKET_LISTENS);
		return 0;
	}
	state = bpf_map_lookup_elem(&sockets, &key);
	if (!state)
		return 0;

	int error = BPF_CORE_READ(sk, sk_err);

	switch (after) {
	case STATE_ESTABLISHED:
		state->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
		record_socket(sk, state, SOCKET_CONNECTED);
		return 0;
	case STATE_CLOSE_WAIT:
		state->has_fin = 1;
		ended_by = SOCKET_ENDED_THERE;
		break;
	case STATE_CLOSING:
		state->has_fin = 1;
		break;
	case STATE_FIN_WAIT1:
	case STATE_LAST_ACK:
		ended_by = SOCKET_ENDED_HERE;
		break;
	case STATE_CLOSE:
		if (error)
			state->error = error;
		else if (before == STATE_FIN_WAIT2)
			state->has_fin = 1;
		ended_by = error ? SOCKET_ENDED_THERE : SOCKET_ENDED_HERE;
		break;
	}
	if (!state->ended_by && ended_by) {
		state->ended_by = ended_by;
		state->end_time = bpf_ktime_get_ns();
	}
	/* A process that has only stopped sending, or has not yet heard of the end, may still receive. */
	if ((after == STATE_FIN_WAIT1 || after == STATE_LAST_ACK) && BPF_CORE_READ(sk, sk_shutdown) == SHUT_BOTH) {
		record_socket(sk, state, SOCKET_CLOSED);
		bpf_map_delete_elem(&sockets, &key);
	}
	return 0;
}

/* Nobody can use the socket any more. */
SEC("raw_tp/tcp_destroy_sock")
int on_socket_destroyed(struct bpf_raw_tracepoint_args *ctx)
{
	struct sock___socket *sk = (void *)ctx->args[0];
	__u64 key = (__u64)sk;
	struct socket_state *state = bpf_map_lookup_elem(&sockets, &key);

	if (!state)
		return 0;
	record_socket(sk, state, SOCKET_CLOSED);
	bpf_map_delete_elem(&sockets, &key);
	return 0;
}

/* What the first bytes say. `receive` tells which side sent them. */
static __always_inline __u32 content_of(const __u8 *first, __u32 receive, struct socket_state *state)
{
	__u32 word = *(const __u32 *)first;

	if (first[0] >= 0x14 && first[0] <= 0x18 && first[1] == 3 && first[2] <= 4)
		return SOCKET_CONTENT_TLS;
	if (state->is_server)
		return SOCKET_CONTENT_SERVED;

#define WORD(a, b, c, d) ((__u32)(a) | (__u32)(b) << 8 | (__u32)(c) << 16 | (__u32)(d) << 24)
	switch (word) {
	case WORD('G', 'E', 'T', ' '):
	case WORD('P', 'O', 'S', 'T'):
	case WORD('P', 'U', 'T', ' '):
	case WORD('H', 'E', 'A', 'D'):
	case WORD('D', 'E', 'L', 'E'):
	case WORD('O', 'P', 'T', 'I'):
	case WORD('P', 'A', 'T', 'C'):
	case WORD('C', 'O', 'N', 'N'):
	case WORD('T', 'R', 'A', 'C'):
	case WORD('P', 'R', 'I', ' '):
		return receive ? SOCKET_CONTENT_SERVED : SOCKET_CONTENT_HTTP;
	case WORD('H', 'T', 'T', 'P'):
		return receive ? SOCKET_CONTENT_HTTP : SOCKET_CONTENT_SERVED;
	}
#undef WORD
	/* In the middle of a connection, HTTP cannot be told by its beginning. */
	return state->seen_from_start ? SOCKET_CONTENT_OTHER : SOCKET_CONTENT_HTTP;
}

/* What a system call asks for. */
struct movement {
	__u32 root_pid;
	__u32 descriptor;
	/* Of the memory, or of the list of pieces of memory, of which there are `length`, or of a message with such a list. */
	__u64 address;
	__u64 length;
	__u8 receive;
	__u8 is_vector;
	__u8 is_message;
	/* OPAQUE_…, for bytes that are counted and not copied. */
	__u8 opaque;
};

/* The bytes go from file to file, not through memory. */
#define OPAQUE_FILE 1
/* A list of messages, at `address`: the call tells how many it has moved, the list how long they are. */
#define OPAQUE_MESSAGES 2

/* As sendmsg(2) has it. */
struct message {
	__u64 name;
	__u64 name_length;
	__u64 vector;
	__u64 vector_length;
};

/* As sendmmsg(2) has it. */
struct listed_message {
	struct message message;
	__u64 control;
	__u64 control_length;
	__u64 flags;
	__u64 length;
};

/* Returns whether the bytes are copied, or may be, when the call has returned. */
static __noinline int socket_enter(__u64 id, struct movement *movement)
{
	struct sock___socket *sk = tcp_socket_of(movement->descriptor);
	__u64 key = (__u64)sk;

	if (!sk)
		return 0;

	struct socket_state *state = bpf_map_lookup_elem(&sockets, &key);

	if (!state)
		state = add_socket(sk, id >> 32, movement->root_pid, SOCKET_CONTENT_UNKNOWN, 0);
	if (!state)
		return 0;
	if (!movement->receive && !state->ended_by)
		state->send_time = bpf_ktime_get_ns();
	if (movement->receive && state->content == SOCKET_CONTENT_TLS) {
		struct socket_place place = { .socket = key, .id = state->id };

		bpf_map_update_elem(&last_sockets, &id, &place, BPF_ANY);
		return 0;
	}
	if (state->content != SOCKET_CONTENT_UNKNOWN && state->content != SOCKET_CONTENT_HTTP)
		return 0;

	struct socket_call fresh = {
		.call = { .cookie = LIBRARY_SOCKET << COOKIE_LIBRARY_SHIFT | (movement->receive ? COOKIE_RECEIVE : 0),
			  .start_time = bpf_ktime_get_ns(),
			  .root_pid = movement->root_pid },
		.socket = key,
		.opaque = movement->opaque,
	};

	if (movement->is_message) {
		struct message message;

		if (bpf_probe_read_user(&message, sizeof(message), (void *)movement->address))
			return 0;
		fresh.vector = message.vector;
		fresh.vector_left = message.vector_length;
	} else if (movement->is_vector) {
		fresh.vector = movement->address;
		fresh.vector_left = movement->length;
	} else {
		fresh.call.buffer = movement->address;
	}
	if (bpf_map_update_elem(&socket_calls, &id, &fresh, BPF_ANY))
		count(COUNTER_CALLS_FULL);
	return 1;
}

struct segment {
	__u64 address;
	__u64 length;
};

/* Moves on to the next piece of memory. Returns whether there is one. */
static __always_inline int next_segment(struct socket_call *moved)
{
	struct segment segment;
	__u64 length = moved->remaining;

	if (!moved->remaining || !moved->vector_left)
		return 0;
	if (bpf_probe_read_user(&segment, sizeof(segment), (void *)moved->vector)) {
		count(COUNTER_UNREADABLE);
		report_missing(&moved->call, moved->remaining, TLS_UNREADABLE);
		moved->remaining = 0;
		return 0;
	}
	moved->vector += sizeof(segment);
	moved->vector_left--;
	if (segment.length < length)
		length = segment.length;
	moved->remaining -= length;
	/* copy_chunk() adds the position, which goes on over all pieces. */
	moved->call.buffer = segment.address - moved->call.position;
	moved->call.length = moved->call.position + length;
	return 1;
}

struct socket_call_pointer {
	struct socket_call *moved;
};

static long copy_segment(__u32 index, struct socket_call_pointer *pointer)
{
	struct socket_call *moved = pointer->moved;
	struct call_pointer call = { &moved->call };

	if (moved->call.position >= moved->call.length)
		return !next_segment(moved);
	copy_chunk(0, &call);
	return 0;
}

struct message_sum {
	__u64 list;
	__u64 bytes;
};

static long add_message(__u32 index, struct message_sum *sum)
{
	struct listed_message listed;

	if (bpf_probe_read_user(&listed, sizeof(listed), (void *)(sum->list + index * sizeof(listed))))
		return 1;
	sum->bytes += (__u32)listed.length;
	return 0;
}

/* What the first of a list of messages begins with. */
static __always_inline void first_of_list(__u64 list, __u8 first[8])
{
	struct message message;
	struct segment segment;

	if (!bpf_probe_read_user(&message, sizeof(message), (void *)list) &&
	    !bpf_probe_read_user(&segment, sizeof(segment), (void *)message.vector))
		bpf_probe_read_user(first, 8, (void *)segment.address);
}

/* The call of this thread that began last has moved `result` bytes, or has failed. */
static __always_inline void socket_exit(__u64 id, __s64 result)
{
	struct socket_call *moved = bpf_map_lookup_elem(&socket_calls, &id);
	struct socket_call_pointer pointer = { moved };
	struct socket_state *state;
	__u64 length = result;
	__u8 first[8] = {};

	if (!moved)
		return;
	state = bpf_map_lookup_elem(&sockets, &moved->socket);
	if (!state || result <= 0)
		goto done;
	if (length > CALL_LIMIT_BYTES)
		length = CALL_LIMIT_BYTES;

	__u32 receive = moved->call.cookie & COOKIE_RECEIVE;

	moved->call.end_time = bpf_ktime_get_ns();
	moved->call.connection = state->id;
	if (moved->opaque) {
		struct message_sum sum = { .list = moved->call.buffer, .bytes = result };

		if (moved->opaque == OPAQUE_MESSAGES) {
			sum.bytes = 0;
			bpf_loop(result < MAX_SEGMENTS ? result : MAX_SEGMENTS, add_message, &sum, 0);
			first_of_list(moved->call.buffer, first);
			if (state->content == SOCKET_CONTENT_UNKNOWN)
				state->content = content_of(first, receive, state);
		}
		if (state->content == SOCKET_CONTENT_HTTP && sum.bytes) {
			moved->call.offset = __sync_fetch_and_add(&state->offset[receive], sum.bytes);
			count(COUNTER_SOCKET_OPAQUE);
			report_missing(&moved->call, sum.bytes, TLS_UNREADABLE);
		}
		goto done;
	}
	if (moved->vector_left) {
		moved->remaining = length;
		next_segment(moved);
	} else {
		moved->call.length = length;
	}
	bpf_probe_read_user(first, sizeof(first), (void *)moved->call.buffer);
	if (state->content == SOCKET_CONTENT_UNKNOWN)
		state->content = content_of(first, receive, state);
	/* A proxy was asked for a tunnel, and TLS begins in it. */
	else if (!receive && first[0] == 0x16 && first[1] == 3 && first[5] == 1)
		state->content = SOCKET_CONTENT_TLS;
	if (state->content != SOCKET_CONTENT_HTTP)
		goto done;

	moved->call.offset = __sync_fetch_and_add(&state->offset[receive], (__u64)result);
	bpf_loop(CALL_CHUNKS + 2 * MAX_SEGMENTS, copy_segment, &pointer, 0);
	if (result > CALL_LIMIT_BYTES) {
		count(COUNTER_OVER_LIMIT);
		report_missing(&moved->call, result - CALL_LIMIT_BYTES, TLS_OVER_LIMIT);
	}
done:
	bpf_map_delete_elem(&socket_calls, &id);
}

/* A connection was accepted as `descriptor`. */
static __always_inline void socket_accepted(__u64 id, __u32 root_pid, __u32 descriptor)
{
	struct sock___socket *sk = tcp_socket_of(descriptor);
	struct socket_state *state;

	if (!sk)
		return;
	state = add_socket(sk, id >> 32, root_pid, SOCKET_CONTENT_UNKNOWN, 1);
	if (!state)
		return;
	state->is_server = 1;
	record_socket(sk, state, SOCKET_ACCEPTED);
}

#if defined(__TARGET_ARCH_x86)
#define CALL_NUMBER(x86, arm64) x86
#elif defined(__TARGET_ARCH_arm64)
#define CALL_NUMBER(x86, arm64) arm64
#endif

enum socket_call_kind {
	/* Of no interest, or not on a TCP socket. */
	SOCKET_CALL_NONE = 0,
	SOCKET_CALL_MOVES = 1,
	SOCKET_CALL_ACCEPTS = 2,
};

/* A system call of a followed process begins. Returns what `socket_call_exit` has to know when it has returned. */
static __always_inline __u32 socket_call_enter(__u64 id, struct process *process, __u32 number, const __u64 *arguments)
{
	struct movement movement = { .root_pid = process->root_pid,
				     .descriptor = arguments[0],
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
		movement.receive = !tcp_socket_of(arguments[2]);
		if (!movement.receive)
			movement.descriptor = arguments[2];
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
