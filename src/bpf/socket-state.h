/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * The TCP sockets of the followed processes, from their beginning to their end: who connects and listens where, and who
 * ends a connection.
 */
#ifndef AGSIGHT_SOCKET_STATE_H
#define AGSIGHT_SOCKET_STATE_H

#include "maps.h"
#include "socket-types.h"

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

static __always_inline struct socket_state *add_socket(struct sock *sk, __u32 pid, __u32 root_pid, __u32 content,
						       __u32 seen_from_start)
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

static __noinline int record_socket(struct sock *sk, struct socket_state *state, __u32 operation)
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
	record->sent = BPF_CORE_READ((struct tcp_sock *)sk, bytes_sent) -
		       BPF_CORE_READ((struct tcp_sock *)sk, bytes_retrans);
	/* TCP counts the end of the stream as a byte. */
	record->received = BPF_CORE_READ((struct tcp_sock *)sk, bytes_received) - state->has_fin;
	record->operation = operation;
	record->ended_by = state->ended_by;
	record->end_time = state->end_time;
	record->send_time = state->send_time;
	record->error = state->error;
	/* What never told what it was is something else. */
	record->content = state->content ?: state->undecided ? SOCKET_CONTENT_OTHER : SOCKET_CONTENT_UNKNOWN;
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

/* A connection was accepted as `descriptor`. */
static __always_inline void socket_accepted(__u64 id, __u32 root_pid, __u32 descriptor)
{
	struct sock *sk = tcp_socket_of(file_of(descriptor));
	struct socket_state *state;

	if (!sk)
		return;
	state = add_socket(sk, id >> 32, root_pid, SOCKET_CONTENT_UNKNOWN, 1);
	if (!state)
		return;
	state->is_server = 1;
	record_socket(sk, state, SOCKET_ACCEPTED);
}

/* Every change of state of every connection of the machine: rare enough. */
SEC("raw_tp/inet_sock_set_state")
int on_socket_state(struct bpf_raw_tracepoint_args *ctx)
{
	struct sock *sk = (void *)ctx->args[0];
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
	struct sock *sk = (void *)ctx->args[0];
	__u64 key = (__u64)sk;
	struct socket_state *state = bpf_map_lookup_elem(&sockets, &key);

	if (!state)
		return 0;
	record_socket(sk, state, SOCKET_CLOSED);
	bpf_map_delete_elem(&sockets, &key);
	return 0;
}

#endif
