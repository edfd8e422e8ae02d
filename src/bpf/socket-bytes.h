/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * The bytes that a system call moves over a TCP socket, of those that speak plain HTTP as a client. Sockets that carry
 * TLS are not copied; which connection of a TLS library is on them is told, so that its end is known.
 */
#ifndef AGSIGHT_SOCKET_BYTES_H
#define AGSIGHT_SOCKET_BYTES_H

#include "socket-content.h"
#include "socket-state.h"
#include "tls.h"

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

/* What a system call asks for. */
struct movement {
	struct file *file;
	__u32 root_pid;
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
	struct sock *sk = tcp_socket_of(movement->file);
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

struct socket_copy {
	struct socket_call *moved;
	struct socket_state *state;
	__u64 bytes;
};

/* Copies a piece of the current memory, or moves on to the next memory. What comes first tells whether anything is copied. */
static long copy_segment(__u32 index, struct socket_copy *copy)
{
	struct socket_call *moved = copy->moved;
	struct socket_state *state = copy->state;
	struct call_pointer call = { &moved->call };
	__u32 receive = moved->call.cookie & COOKIE_RECEIVE;

	if (moved->call.position >= moved->call.length)
		return !next_segment(moved);
	if (moved->call.position == 0) {
		tell_content(state, moved->call.buffer, moved->call.length, receive);
		if (state->content != SOCKET_CONTENT_HTTP)
			return 1;
		moved->call.offset = __sync_fetch_and_add(&state->offset[receive], copy->bytes);
	}
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

/* Where the first of a list of messages begins. */
static __always_inline struct segment first_of_list(__u64 list)
{
	struct message message;
	struct segment segment = {};

	if (!bpf_probe_read_user(&message, sizeof(message), (void *)list))
		bpf_probe_read_user(&segment, sizeof(segment), (void *)message.vector);
	return segment;
}

/* The call of this thread that began last has moved `result` bytes, or has failed. */
static __always_inline void socket_exit(__u64 id, __s64 result)
{
	struct socket_call *moved = bpf_map_lookup_elem(&socket_calls, &id);
	struct socket_state *state;
	__u64 length = result;

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

			struct segment segment = first_of_list(moved->call.buffer);

			if (segment.length > sum.bytes)
				segment.length = sum.bytes;
			tell_content(state, segment.address, segment.length, receive);
		}
		if (state->content == SOCKET_CONTENT_HTTP && sum.bytes) {
			moved->call.offset = __sync_fetch_and_add(&state->offset[receive], sum.bytes);
			count(COUNTER_SOCKET_OPAQUE);
			report_missing(&moved->call, sum.bytes, TLS_UNREADABLE);
		}
		goto done;
	}
	if (moved->vector_left)
		moved->remaining = length;
	else
		moved->call.length = length;

	struct socket_copy copy = { .moved = moved, .state = state, .bytes = result };

	bpf_loop(CALL_CHUNKS + 2 * MAX_SEGMENTS, copy_segment, &copy, 0);
	if (result > CALL_LIMIT_BYTES && state->content == SOCKET_CONTENT_HTTP) {
		count(COUNTER_OVER_LIMIT);
		report_missing(&moved->call, result - CALL_LIMIT_BYTES, TLS_OVER_LIMIT);
	}
done:
	bpf_map_delete_elem(&socket_calls, &id);
}

#endif
