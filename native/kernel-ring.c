/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel-ring.h"

#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "record.h"

int kernel_ring_open(int map_fd, size_t size, struct ring *ring)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *consumer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
	void *producer;

	if (consumer == MAP_FAILED)
		return -errno;
	/* The data are mapped twice in a row, so that a record that wraps reads as one piece. */
	producer = mmap(NULL, page + 2 * size, PROT_READ, MAP_SHARED, map_fd, (off_t)page);
	if (producer == MAP_FAILED) {
		int error = -errno;

		munmap(consumer, page);
		return error;
	}
	ring->consumer_position = consumer;
	ring->producer_position = producer;
	ring->data = (uint8_t *)producer + page;
	ring->size = size;
	return 0;
}

void kernel_ring_close(struct ring *ring)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (!ring->data)
		return;
	munmap((void *)ring->consumer_position, page);
	munmap((void *)(ring->data - page), page + 2 * ring->size);
	ring->data = NULL;
}

/* The part of a record that is in use: the ring hands out fixed sizes. */
static size_t used_length(const struct record_header *header, size_t length)
{
	size_t used = length;

	if (header->type == RECORD_TLS)
		used = sizeof(struct tls_record) + header->data_length;
	else if (header->type == RECORD_ARGV || header->type == RECORD_VARIABLE)
		used = sizeof(struct exec_part_record) + header->data_length;
	else if (header->type == RECORD_CONTENT)
		used = sizeof(struct content_record) + header->data_length;
	return used < length ? used : length;
}

size_t kernel_ring_pending(const struct ring *ring)
{
	return __atomic_load_n(ring->producer_position, __ATOMIC_ACQUIRE) - *ring->consumer_position;
}

size_t kernel_ring_drain(struct ring *ring, uint8_t *buffer, size_t capacity)
{
	unsigned long consumer = *ring->consumer_position;
	size_t written = 0;

	for (;;) {
		unsigned long producer = __atomic_load_n(ring->producer_position, __ATOMIC_ACQUIRE);

		if (consumer >= producer)
			break;

		const uint8_t *entry = ring->data + (consumer & (ring->size - 1));
		uint32_t head = __atomic_load_n((const uint32_t *)entry, __ATOMIC_ACQUIRE);

		if (head & BPF_RINGBUF_BUSY_BIT)
			break;

		size_t length = head & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
		const uint8_t *record = entry + BPF_RINGBUF_HDR_SZ;

		if (!(head & BPF_RINGBUF_DISCARD_BIT)) {
			uint32_t used = (uint32_t)used_length((const struct record_header *)record, length);
			size_t padded = ((size_t)used + 7) & ~(size_t)7;

			if (written + 8 + padded > capacity)
				break;
			memcpy(buffer + written, &used, sizeof(used));
			memset(buffer + written + 4, 0, 4);
			memcpy(buffer + written + 8, record, used);
			written += 8 + padded;
		}
		consumer += (length + BPF_RINGBUF_HDR_SZ + 7) & ~7ul;
		__atomic_store_n(ring->consumer_position, consumer, __ATOMIC_RELEASE);
	}
	return written;
}
