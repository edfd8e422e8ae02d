/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * The programs on functions of TLS libraries: what a call moves, at its place in its connection.
 */
#ifndef AGSIGHT_TLS_H
#define AGSIGHT_TLS_H

#include "goroutine.h"

static __always_inline void fill_tls(struct tls_record *record, struct call *call, __u16 flags)
{
	fill_header(&record->header, RECORD_TLS, call->end_time, call->root_pid);
	record->header.flags = (call->cookie & COOKIE_RECEIVE ? TLS_RECEIVE : 0) | flags;
	record->start_time = call->start_time;
	record->connection = call->connection;
	record->offset = call->offset + call->position;
	record->missing = 0;
	record->library = (__u8)(call->cookie >> COOKIE_LIBRARY_SHIFT);
	record->additional_length = 0;

	__u64 length = call->additional_length;

	CLAMP(length, ADDITIONAL_BYTES);
	if (length > 0 && !bpf_probe_read_user(record->additional, length, (void *)call->additional))
		record->additional_length = length;
}

static __always_inline void report_missing(struct call *call, __u64 missing, __u16 reason)
{
	struct tls_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record) {
		count(COUNTER_TLS_RING_FULL);
		return;
	}
	fill_tls(record, call, reason);
	record->missing = missing;
	submit(record);
}

struct call_pointer {
	struct call *call;
};

static long copy_chunk(__u32 index, struct call_pointer *pointer)
{
	struct call *call = pointer->call;
	__u64 length = call->length - call->position;
	__u64 address = call->buffer + call->position;
	struct tls_record *record;
	long unreadable = 0;

	CLAMP(length, CHUNK_BYTES);
	if (length <= 256)
		RESERVE_AND_READ(record, 256, address, unreadable);
	else if (length <= 1024)
		RESERVE_AND_READ(record, 1024, address, unreadable);
	else if (length <= 4096)
		RESERVE_AND_READ(record, 4096, address, unreadable);
	else if (length <= 8192)
		RESERVE_AND_READ(record, 8192, address, unreadable);
	else
		RESERVE_AND_READ(record, CHUNK_BYTES, address, unreadable);
	if (!record) {
		count(COUNTER_TLS_RING_FULL);
	} else if (unreadable) {
		bpf_ringbuf_discard(record, 0);
		count(COUNTER_UNREADABLE);
		report_missing(call, length, TLS_UNREADABLE);
	} else {
		fill_tls(record, call, 0);
		record->header.data_length = length;
		submit(record);
	}
	call->position += length;
	return call->position >= call->length;
}

static __always_inline struct connection *find_connection(struct connection_key *key, __u64 time)
{
	struct connection *connection = bpf_map_lookup_elem(&connections, key);

	if (!connection) {
		/* A time in nanoseconds and the CPU make an id that no other connection gets. */
		struct connection fresh = { .id = time << 8 | (bpf_get_smp_processor_id() & 0xff) };

		bpf_map_update_elem(&connections, key, &fresh, BPF_NOEXIST);
		connection = bpf_map_lookup_elem(&connections, key);
	}
	return connection;
}

/* What a thread decrypts came over the socket that it received from last. */
static __always_inline void bind_to_socket(struct connection *connection, __u64 cookie)
{
	/* OpenSSL may hand out what it received long ago; a connection of its stays on its socket. */
	if (connection->socket && !(cookie & COOKIE_AEAD))
		return;

	__u64 id = bpf_get_current_pid_tgid();
	struct socket_place *place = bpf_map_lookup_elem(&last_sockets, &id);
	struct socket_state *state;

	if (!place || place->id == connection->socket)
		return;
	connection->socket = place->id;
	state = bpf_map_lookup_elem(&sockets, &place->socket);
	if (state && state->id == place->id)
		state->carries = connection->id;
}

static const struct call no_call;

/* Records the `length` bytes that `call` moved. */
static __always_inline void record_transfer(struct call *call, __u32 pid, __u64 length)
{
	struct connection_key key = { .ssl = call->ssl, .pid = pid };
	struct call_pointer pointer = { call };
	struct connection *connection;

	call->end_time = bpf_ktime_get_ns();
	connection = find_connection(&key, call->end_time);
	if (!connection) {
		count(COUNTER_CONNECTIONS_FULL);
		return;
	}
	call->connection = connection->id;
	if (call->cookie & COOKIE_RECEIVE)
		bind_to_socket(connection, call->cookie);
	/* Counted before the copy, so that what the ring cannot take shows as a gap. */
	call->offset = __sync_fetch_and_add(&connection->offset[call->cookie & COOKIE_RECEIVE], length);
	call->length = length < CALL_LIMIT_BYTES ? length : CALL_LIMIT_BYTES;
	if (length <= CHUNK_BYTES)
		copy_chunk(0, &pointer);
	else
		bpf_loop(CALL_CHUNKS, copy_chunk, &pointer, 0);
	if (length > CALL_LIMIT_BYTES) {
		count(COUNTER_OVER_LIMIT);
		report_missing(call, length - CALL_LIMIT_BYTES, TLS_OVER_LIMIT);
	}
}

/*
 * ring's functions on whole records, as of 0.17.14; Rust fixes no calling convention, src/elf says which code this fits.
 * seal: (key, nonce, additional[2], in_out[2]); open: the same and where in `in_out` the ciphertext begins. Both
 * return a tag, behind a byte that is 0 unless they failed.
 * Returns how many bytes are sealed; 0 for a call that is looked at when it returns.
 */
static __always_inline __u64 ring_call(struct registers *ctx, struct call *call)
{
	__u64 length = RUST_ARG6(ctx), start;

	call->ssl = RUST_ARG1(ctx);
	call->additional = RUST_ARG3(ctx);
	call->additional_length = RUST_ARG4(ctx);
	call->buffer = RUST_ARG5(ctx);
	if (!(call->cookie & COOKIE_RECEIVE))
		return length;
	/* The plaintext goes to the beginning of `in_out`, wherever the ciphertext was. */
	start = RUST_ARG7(ctx);
	call->length = start < length ? length - start : 0;
	call->count_address = RUST_RESULT(ctx);
	return 0;
}

/* How many bytes the call has moved; negative when that cannot be read. */
static __always_inline __s64 moved_bytes(struct registers *ctx, struct call *call)
{
	__u64 length = (int)RETURN_VALUE(ctx);
	__u8 has_failed;

	if (call->cookie & COOKIE_RING) {
		if (bpf_probe_read_user(&has_failed, sizeof(has_failed), (void *)call->count_address))
			return -1;
		return has_failed ? 0 : call->length;
	}
	if ((__s64)length <= 0)
		return 0;
	if (call->count_address && bpf_probe_read_user(&length, sizeof(length), (void *)call->count_address))
		return -1;
	return length;
}

/* A thread keeps its element from its first call until it ends: making and removing one costs more than the rest. */
static __always_inline struct call *find_call(__u64 id)
{
	struct call *call = bpf_map_lookup_elem(&calls, &id);

	if (call)
		return call;
	bpf_map_update_elem(&calls, &id, &no_call, BPF_NOEXIST);
	call = bpf_map_lookup_elem(&calls, &id);
	if (!call)
		count(COUNTER_CALLS_FULL);
	return call;
}

/* The memory of the library that stands for the connection. */
static __always_inline __u64 connection_of(struct registers *ctx, __u64 cookie)
{
	return cookie & COOKIE_GO ? GO_ARG1(ctx) : ARG1(ctx);
}

/*
 * Fills in `call`, which begins. Returns how many bytes it moves, at its buffer; 0 when that is known only when it returns:
 * plaintext is often encrypted in place, and after the call it would be gone.
 */
static __always_inline __u64 begin_call(struct registers *ctx, struct call *call, __u64 cookie, __u32 root_pid)
{
	call->cookie = cookie;
	call->root_pid = root_pid;
	call->start_time = bpf_ktime_get_ns();
	call->ssl = connection_of(ctx, cookie);
	call->buffer = cookie & COOKIE_GO ? GO_ARG2(ctx) : ARG2(ctx);
	call->count_address = 0;
	call->additional_length = 0;
	call->position = 0;
	if (cookie & COOKIE_RING)
		return ring_call(ctx, call);
	if (cookie & COOKIE_SCATTER) {
		call->buffer = ARG8(ctx);
		call->additional = ARG12(ctx);
		call->additional_length = ARG13(ctx);
		return ARG9(ctx);
	}
	if (cookie & COOKIE_AEAD) {
		call->additional = ARG9(ctx);
		call->additional_length = ARG10(ctx);
		if (cookie & COOKIE_RECEIVE) {
			call->count_address = ARG3(ctx);
			return 0;
		}
		call->buffer = ARG7(ctx);
		return ARG8(ctx);
	}
	if (cookie & COOKIE_EX)
		call->count_address = ARG4(ctx);
	/* Another goroutine may have read the answer before this one returns. */
	return cookie & COOKIE_GO && !(cookie & COOKIE_RECEIVE) ? GO_ARG3(ctx) : 0;
}

/* Whether it is the same call of Go once more: a function that needs a larger stack begins anew on it. */
static __always_inline int begins_anew(struct registers *ctx, struct call *call, __u64 cookie)
{
	return cookie & COOKIE_GO && call->cookie == cookie && call->ssl == GO_ARG1(ctx) && call->buffer == GO_ARG2(ctx);
}

/*
 * Where Go's callers leave room for the arguments of a call, which a function keeps there while it calls others. When Go moves a
 * stack, it moves what points into it, too: what is read may go to a stack; what is written never is on one.
 */
struct go_arguments {
	__u64 connection;
	__u64 buffer;
	__u64 length;
};

/*
 * The call of Go that returns, having read `moved` bytes; none when they are not known. One that was waiting when the capture began is
 * found by its arguments.
 */
static __always_inline struct call *returning_call(struct registers *ctx, __u64 id, __u64 cookie, __u32 root_pid,
						   __u64 moved)
{
	struct call *call = bpf_map_lookup_elem(&calls, &id);
	struct go_arguments arguments = {};

	if (!(cookie & COOKIE_RECEIVE) ||
	    bpf_probe_read_user(&arguments, sizeof(arguments), (void *)(STACK_POINTER(ctx) + 8)))
		return call;
	if (!call && arguments.connection && moved <= arguments.length) {
		call = find_call(id);
		if (!call)
			return 0;
		begin_call(ctx, call, cookie, root_pid);
		call->ssl = arguments.connection;
	}
	if (call && call->ssl == arguments.connection)
		call->buffer = arguments.buffer;
	return call;
}

static __always_inline int tls_enter(struct registers *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 pid = id >> 32;
	struct process *process = bpf_map_lookup_elem(&processes, &pid);

	if (!process)
		return 0;

	__u64 cookie = bpf_get_attach_cookie(ctx);

	if (cookie & COOKIE_HANDSHAKE) {
		struct connection_key key = { .ssl = connection_of(ctx, cookie), .pid = pid };
		struct connection *connection = bpf_map_lookup_elem(&connections, &key);

		/* A handshake where bytes have flowed: the library gave this memory to a new connection. */
		if (connection && (connection->offset[0] || connection->offset[1]))
			bpf_map_delete_elem(&connections, &key);
		return 0;
	}

	if (cookie & COOKIE_GO) {
		id = goroutine_id(ctx, pid);
		process->flags |= PROCESS_GO;
	}

	struct call *call;
	__u64 moved;

	if (cookie & COOKIE_GO_RETURN) {
		moved = cookie & COOKIE_RECEIVE && (__s64)GO_ARG1(ctx) > 0 ? GO_ARG1(ctx) : 0;
		call = returning_call(ctx, id, cookie, process->root_pid, moved);
	} else {
		call = find_call(id);
		if (call && begins_anew(ctx, call, cookie))
			return 0;
		moved = call ? begin_call(ctx, call, cookie, process->root_pid) : 0;
	}
	if (!call)
		return 0;
	if (moved > 0)
		record_transfer(call, pid, moved);
	if (cookie & COOKIE_GO_RETURN)
		bpf_map_delete_elem(&calls, &id);
	else if (cookie & COOKIE_AEAD && !(cookie & COOKIE_RECEIVE))
		call->cookie = 0;
	return 0;
}

static __always_inline int tls_return(struct registers *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 pid = id >> 32;
	struct call *call = bpf_map_lookup_elem(&calls, &id);
	__s64 length;

	if (!call || !call->cookie)
		return 0;
	length = moved_bytes(ctx, call);
	if (length < 0)
		count(COUNTER_UNREADABLE);
	else if (length > 0)
		record_transfer(call, pid, length);
	call->cookie = 0;
	return 0;
}

SEC("uprobe")
int on_tls_enter(struct registers *ctx)
{
	return tls_enter(ctx);
}

SEC("uretprobe")
int on_tls_return(struct registers *ctx)
{
	return tls_return(ctx);
}

#endif
