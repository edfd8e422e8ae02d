/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * The pages that the next records will fill. Where a hypervisor keeps page tables of its own, whoever first touches a page
 * of the ring waits for it as long as for ten system calls: that shall not be who is recorded.
 */
#ifndef AGSIGHT_RING_PAGES_H
#define AGSIGHT_RING_PAGES_H

#include "maps.h"

#define RING_PAGE 4096
/* 2 MiB: more than an agent makes while the ring waits to be drained. */
#define PAGES_AHEAD 512

/*
 * Run by whoever drains, right before: reads a byte of each page from where the next record will stand. Nobody is woken by
 * the record that tells where that is.
 */
SEC("syscall")
int touch_ring(void *context)
{
	__u64 pages = bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE) / RING_PAGE;
	char *place = bpf_ringbuf_reserve(&ring, 8, 0);
	char byte;

	if (!place)
		return 0;
	for (__u32 i = 0; i < PAGES_AHEAD && i < pages; i++)
		bpf_probe_read_kernel(&byte, sizeof(byte), place + i * RING_PAGE);
	bpf_ringbuf_discard(place, BPF_RB_NO_WAKEUP);
	return 0;
}

#endif
