/* SPDX-License-Identifier: Apache-2.0
 *
 * The system calls that the shim makes, without libbpf: load a light skeleton, attach programs, read and
 * write maps. Functions return a negative errno on failure.
 */
#ifndef AGSIGHT_KERNEL_H
#define AGSIGHT_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_MAPS 16
#define MAX_PROGRAMS 16

/* What the loader program gets and fills in; the layout is that of libbpf 1.1's generator. */
struct loader_map {
	int fd;
	uint32_t max_entries;
	uint64_t initial_value;
};

struct skeleton {
	const void *instructions;
	size_t instructions_size;
	const void *data;
	size_t data_size;
	unsigned map_count;
	unsigned program_count;
};

/* Loads all maps and programs, or none. `max_entries` overrides a map's size where it is not 0. */
int kernel_load(const struct skeleton *skeleton, const uint32_t *max_entries, int *map_fds, int *program_fds);

/* Whether the kernel has uprobe_multi links (6.6 and newer). */
bool kernel_has_uprobe_multi(void);

/* Loads a program that does nothing for the beginning of the kernel function with this BTF id; returns its descriptor. */
int kernel_load_fentry(uint32_t function);

/* The name is empty for a program that has one of its own (tp_btf). */
int kernel_attach_tracepoint(int program_fd, const char *name);
int kernel_attach_uprobe_multi(int program_fd, const char *path, const uint64_t *offsets, const uint64_t *cookies,
			       uint32_t count, bool at_return);

/* Runs a program of type BPF_PROG_TYPE_SYSCALL once. */
int kernel_run_program(int program_fd);

/* A uprobe through the perf subsystem needs two descriptors: the event and the link. */
struct perf_uprobe {
	int event_fd;
	int link_fd;
};
int kernel_attach_uprobe_perf(int program_fd, const char *path, uint64_t offset, uint64_t cookie, bool at_return,
			      struct perf_uprobe *uprobe);

int kernel_map_update(int map_fd, const void *key, const void *value);
int kernel_map_delete(int map_fd, const void *key);
int kernel_map_lookup(int map_fd, const void *key, void *value);
/* The key after `key`, the first one for NULL; -ENOENT after the last. */
int kernel_map_next_key(int map_fd, const void *key, void *next);

#endif
