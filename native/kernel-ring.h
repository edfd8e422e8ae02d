/* SPDX-License-Identifier: Apache-2.0
 *
 * A ring of the kernel, which programs write records to, as it is mapped here.
 */
#ifndef AGSIGHT_KERNEL_RING_H
#define AGSIGHT_KERNEL_RING_H

#include <stddef.h>
#include <stdint.h>

struct ring {
	volatile unsigned long *consumer_position;
	volatile unsigned long *producer_position;
	const uint8_t *data;
	size_t size; /* of the data, a power of two */
};

/* Returns a negative errno on failure. */
int kernel_ring_open(int map_fd, size_t size, struct ring *ring);
void kernel_ring_close(struct ring *ring);
/* Bytes that were not drained yet. */
size_t kernel_ring_pending(const struct ring *ring);
/*
 * Copies whole records into `buffer`, each as u32 length, u32 zero, then the record padded to 8 bytes, until
 * the ring is empty or the next record does not fit. Returns the bytes written.
 */
size_t kernel_ring_drain(struct ring *ring, uint8_t *buffer, size_t capacity);

#endif
