/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * Calls of Go's goroutines, which begin on one thread and may return on another: what they are known by in `calls`.
 */
#ifndef AGSIGHT_GOROUTINE_H
#define AGSIGHT_GOROUTINE_H

#include "maps.h"

/* No thread has such an id. */
#define GOROUTINE 0x8000000000000000ull
#define GOROUTINE_PID_SHIFT 41

/* The goroutine that calls; the kernel's pids have 22 bits, and Go's objects for goroutines lie at multiples of 32. */
static __always_inline __u64 goroutine_id(struct registers *ctx, __u32 pid)
{
	__u64 goroutine = GO_GOROUTINE(ctx) >> 5 & ((1ull << GOROUTINE_PID_SHIFT) - 1);

	return GOROUTINE | (__u64)pid << GOROUTINE_PID_SHIFT | goroutine;
}

struct ended {
	__u64 pid;
};

static long forget_call(void *map, __u64 *id, struct call *call, struct ended *ended)
{
	if (*id >> GOROUTINE_PID_SHIFT == (GOROUTINE >> GOROUTINE_PID_SHIFT | ended->pid))
		bpf_map_delete_elem(map, id);
	return 0;
}

/* Nobody tells when goroutines end; with their process they do. */
static __always_inline void forget_goroutines(__u32 pid)
{
	struct ended ended = { pid };

	bpf_for_each_map_elem(&calls, forget_call, &ended, 0);
}

#endif
