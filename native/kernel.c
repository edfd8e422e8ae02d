/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers of some distributions. */
#define TRACE_UPROBE_MULTI 48
#define UPROBE_MULTI_RETURN 1u

struct link_create_uprobe_multi {
	uint32_t program_fd;
	uint32_t target_fd;
	uint32_t attach_type;
	uint32_t flags;
	uint64_t path;
	uint64_t offsets;
	uint64_t reference_counter_offsets;
	uint64_t cookies;
	uint32_t count;
	uint32_t multi_flags;
	uint32_t pid;
	uint32_t padding;
};

static int bpf(int command, void *attributes, size_t size)
{
	long result = syscall(__NR_bpf, command, attributes, size);

	return result < 0 ? -errno : (int)result;
}

/* Loading --------------------------------------------------------------------------------------- */

struct loader_context {
	uint32_t size;
	uint32_t flags;
	uint32_t log_level;
	uint32_t log_size;
	uint64_t log_buffer;
};

static int load_once(const struct skeleton *skeleton, const uint32_t *max_entries, int *map_fds, int *program_fds)
{
	struct {
		struct loader_context context;
		uint8_t rest[MAX_MAPS * sizeof(struct loader_map) + MAX_PROGRAMS * sizeof(int)];
	} in = { 0 };
	struct loader_map *maps = (struct loader_map *)in.rest;
	int *programs = (int *)(in.rest + skeleton->map_count * sizeof(struct loader_map));
	union bpf_attr attributes = { 0 };
	int map_fd, program_fd = -1, result;
	uint32_t key = 0;

	in.context.size = (uint32_t)((uint8_t *)(programs + skeleton->program_count) - (uint8_t *)&in);
	for (unsigned i = 0; i < skeleton->map_count; i++)
		maps[i].max_entries = max_entries[i];

	attributes.map_type = BPF_MAP_TYPE_ARRAY;
	attributes.key_size = sizeof(key);
	attributes.value_size = (uint32_t)skeleton->data_size;
	attributes.max_entries = 1;
	strcpy(attributes.map_name, "agsight_loader");
	map_fd = bpf(BPF_MAP_CREATE, &attributes, sizeof(attributes));
	if (map_fd < 0)
		return map_fd;
	result = kernel_map_update(map_fd, &key, skeleton->data);
	if (result < 0)
		goto done;

	memset(&attributes, 0, sizeof(attributes));
	attributes.prog_type = BPF_PROG_TYPE_SYSCALL;
	attributes.insns = (uintptr_t)skeleton->instructions;
	attributes.insn_cnt = (uint32_t)(skeleton->instructions_size / sizeof(struct bpf_insn));
	attributes.license = (uintptr_t) "GPL";
	attributes.prog_flags = BPF_F_SLEEPABLE;
	attributes.fd_array = (uintptr_t)&map_fd;
	strcpy(attributes.prog_name, "agsight_loader");
	result = program_fd = bpf(BPF_PROG_LOAD, &attributes, sizeof(attributes));
	if (result < 0)
		goto done;

	memset(&attributes, 0, sizeof(attributes));
	attributes.test.prog_fd = (uint32_t)program_fd;
	attributes.test.ctx_in = (uintptr_t)&in;
	attributes.test.ctx_size_in = in.context.size;
	result = bpf(BPF_PROG_RUN, &attributes, sizeof(attributes));
	if (result >= 0 && (int)attributes.test.retval < 0)
		result = (int)attributes.test.retval;
	if (result < 0)
		goto done;

	for (unsigned i = 0; i < skeleton->map_count; i++)
		map_fds[i] = maps[i].fd;
	for (unsigned i = 0; i < skeleton->program_count; i++)
		program_fds[i] = programs[i];
	result = 0;
done:
	if (program_fd >= 0)
		close(program_fd);
	close(map_fd);
	return result;
}

int kernel_load(const struct skeleton *skeleton, const uint32_t *max_entries, int *map_fds, int *program_fds)
{
	sigset_t all, before;
	int result;

	/* The verifier gives up with EAGAIN when a signal comes in while it works, as one of a child that ended. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	result = load_once(skeleton, max_entries, map_fds, program_fds);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return result;
}

/* Attaching ------------------------------------------------------------------------------------- */

int kernel_attach_tracepoint(int program_fd, const char *name)
{
	union bpf_attr attributes = { 0 };

	attributes.raw_tracepoint.name = name[0] ? (uintptr_t)name : 0;
	attributes.raw_tracepoint.prog_fd = (uint32_t)program_fd;
	return bpf(BPF_RAW_TRACEPOINT_OPEN, &attributes, sizeof(attributes));
}

int kernel_run_program(int program_fd)
{
	union bpf_attr attributes = { 0 };

	attributes.test.prog_fd = (uint32_t)program_fd;
	return bpf(BPF_PROG_RUN, &attributes, sizeof(attributes));
}

int kernel_attach_uprobe_multi(int program_fd, const char *path, const uint64_t *offsets, const uint64_t *cookies,
			       uint32_t count, bool at_return)
{
	struct link_create_uprobe_multi attributes = {
		.program_fd = (uint32_t)program_fd,
		.attach_type = TRACE_UPROBE_MULTI,
		.path = (uintptr_t)path,
		.offsets = (uintptr_t)offsets,
		.cookies = (uintptr_t)cookies,
		.count = count,
		.multi_flags = at_return ? UPROBE_MULTI_RETURN : 0,
	};

	return bpf(BPF_LINK_CREATE, &attributes, sizeof(attributes));
}

/* A program that does nothing, to see whether the kernel takes one of this kind. */
static int load_nothing(uint32_t type, uint32_t attach_type, uint32_t function)
{
	struct bpf_insn nothing[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attributes = { 0 };

	attributes.prog_type = type;
	attributes.expected_attach_type = attach_type;
	attributes.attach_btf_id = function;
	attributes.insns = (uintptr_t)nothing;
	attributes.insn_cnt = sizeof(nothing) / sizeof(nothing[0]);
	attributes.license = (uintptr_t) "GPL";
	return bpf(BPF_PROG_LOAD, &attributes, sizeof(attributes));
}

int kernel_load_fentry(uint32_t function)
{
	return load_nothing(BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, function);
}

bool kernel_has_uprobe_multi(void)
{
	uint64_t offset = 0;
	int program_fd = load_nothing(BPF_PROG_TYPE_KPROBE, TRACE_UPROBE_MULTI, 0);
	int result;

	if (program_fd < 0)
		return false;
	/* A directory is refused as such only where the link type is known. */
	result = kernel_attach_uprobe_multi(program_fd, "/", &offset, NULL, 1, false);
	if (result >= 0)
		close(result);
	close(program_fd);
	return result == -EBADF;
}

static int read_number(const char *path, const char *format)
{
	FILE *file = fopen(path, "re");
	int value = -1;

	if (!file)
		return -errno;
	if (fscanf(file, format, &value) != 1)
		value = -EINVAL;
	fclose(file);
	return value;
}

#define UPROBE_DEVICE "/sys/bus/event_source/devices/uprobe/"

int kernel_attach_uprobe_perf(int program_fd, const char *path, uint64_t offset, uint64_t cookie, bool at_return,
			      struct perf_uprobe *uprobe)
{
	struct perf_event_attr event = { .size = sizeof(event) };
	union bpf_attr attributes = { 0 };
	int type = read_number(UPROBE_DEVICE "type", "%d");
	int return_bit = read_number(UPROBE_DEVICE "format/retprobe", "config:%d");

	if (type < 0 || return_bit < 0)
		return type < 0 ? type : return_bit;
	event.type = (uint32_t)type;
	event.config = at_return ? 1ull << return_bit : 0;
	event.uprobe_path = (uintptr_t)path;
	event.probe_offset = offset;
	uprobe->event_fd = (int)syscall(__NR_perf_event_open, &event, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (uprobe->event_fd < 0)
		return -errno;

	attributes.link_create.prog_fd = (uint32_t)program_fd;
	attributes.link_create.target_fd = (uint32_t)uprobe->event_fd;
	attributes.link_create.attach_type = BPF_PERF_EVENT;
	attributes.link_create.perf_event.bpf_cookie = cookie;
	uprobe->link_fd = bpf(BPF_LINK_CREATE, &attributes, sizeof(attributes));
	if (uprobe->link_fd < 0) {
		close(uprobe->event_fd);
		return uprobe->link_fd;
	}
	return 0;
}

/* Maps ------------------------------------------------------------------------------------------ */

static int map_command(int command, int map_fd, const void *key, const void *value)
{
	union bpf_attr attributes = { 0 };

	attributes.map_fd = (uint32_t)map_fd;
	attributes.key = (uintptr_t)key;
	attributes.value = (uintptr_t)value;
	return bpf(command, &attributes, sizeof(attributes));
}

int kernel_map_update(int map_fd, const void *key, const void *value)
{
	return map_command(BPF_MAP_UPDATE_ELEM, map_fd, key, value);
}

int kernel_map_delete(int map_fd, const void *key)
{
	return map_command(BPF_MAP_DELETE_ELEM, map_fd, key, NULL);
}

int kernel_map_lookup(int map_fd, const void *key, void *value)
{
	return map_command(BPF_MAP_LOOKUP_ELEM, map_fd, key, value);
}

int kernel_map_next_key(int map_fd, const void *key, void *next)
{
	return map_command(BPF_MAP_GET_NEXT_KEY, map_fd, key, next);
}
