/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * What goes through io_uring past the system calls: counted as not seen, unless it cannot change a file or move data.
 * Node waits for its sockets this way, and every capture of it would else be told as incomplete.
 */
#ifndef AGSIGHT_IO_RING_H
#define AGSIGHT_IO_RING_H

#include "maps.h"

/* By their numbers in linux/io_uring.h; here, since the headers of a build machine may be older. */
#define RING_NOP 0
#define RING_POLL_ADD 6
#define RING_POLL_REMOVE 7
#define RING_TIMEOUT 11
#define RING_TIMEOUT_REMOVE 12
#define RING_ASYNC_CANCEL 14
#define RING_LINK_TIMEOUT 15
#define RING_EPOLL_CTL 29
#define BIT(number) (1ull << (number))
#define RING_WAITS                                                                                              \
	(BIT(RING_NOP) | BIT(RING_POLL_ADD) | BIT(RING_POLL_REMOVE) | BIT(RING_TIMEOUT) | BIT(RING_TIMEOUT_REMOVE) | \
	 BIT(RING_ASYNC_CANCEL) | BIT(RING_LINK_TIMEOUT) | BIT(RING_EPOLL_CTL))

SEC("raw_tp/io_uring_submit_req")
int on_ring_request(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;

	if (!bpf_map_lookup_elem(&processes, &pid))
		return 0;

	struct io_kiocb *request = (struct io_kiocb *)ctx->args[0];
	__u8 operation = BPF_CORE_READ(request, opcode);

	if (operation >= 64 || !(RING_WAITS & BIT(operation)))
		count(COUNTER_IO_URING);
	return 0;
}

#endif
