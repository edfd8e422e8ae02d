/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * The programs on the life of processes: fork, exec with arguments and CODEX_ variables, exit.
 */
#ifndef AGSIGHT_PROCESS_H
#define AGSIGHT_PROCESS_H

#include "goroutine.h"
#include "known-file.h"
#include "path.h"

static __always_inline __u32 parent_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, real_parent, tgid);
}

SEC("raw_tp/sched_process_fork")
int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *child = (void *)ctx->args[1];
	__u32 parent_pid = bpf_get_current_pid_tgid() >> 32;
	__u32 child_pid = BPF_CORE_READ(child, tgid);
	struct process *parent = bpf_map_lookup_elem(&processes, &parent_pid);

	if (!parent || parent->flags & PROCESS_ALONE || child_pid == parent_pid)
		return 0;

	struct process process = { .root_pid = parent->root_pid, .flags = parent->flags & ~PROCESS_GO };

	if (bpf_map_update_elem(&processes, &child_pid, &process, BPF_ANY)) {
		count(COUNTER_PROCESSES_FULL);
		return 0;
	}

	__u64 time = bpf_ktime_get_ns();

	record_directory(child, BPF_CORE_READ(child, pid), time, process.root_pid);

	struct fork_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record) {
		count(COUNTER_PROCESS_RING_FULL);
		return 0;
	}
	fill_header(&record->header, RECORD_FORK, time, process.root_pid);
	record->header.pid = child_pid;
	record->header.tid = BPF_CORE_READ(child, pid);
	record->parent_pid = parent_pid;
	__u64 owner = bpf_get_current_uid_gid();
	record->uid = (__u32)owner;
	record->gid = owner >> 32;
	record->reserved = 0;
	submit(record);
	return 0;
}

static __always_inline void fill_part(struct exec_part_record *record, struct walk *walk, __u16 type)
{
	fill_header(&record->header, type, walk->exec_time, walk->root_pid);
	record->exec_time = walk->exec_time;
	record->offset = walk->offset;
}

struct walk_pointer {
	struct walk *walk;
};

static long copy_argv(__u32 index, struct walk_pointer *pointer)
{
	struct walk *walk = pointer->walk;
	__u64 length = walk->end - walk->start - walk->offset;
	__u64 address = walk->start + walk->offset;
	struct exec_part_record *record;
	long unreadable = 0;

	CLAMP(length, CHUNK_BYTES);
	if (length <= 256)
		RESERVE_AND_READ(record, 256, address, unreadable);
	else if (length <= 2048)
		RESERVE_AND_READ(record, 2048, address, unreadable);
	else
		RESERVE_AND_READ(record, CHUNK_BYTES, address, unreadable);
	if (!record) {
		count(COUNTER_PROCESS_RING_FULL);
	} else if (unreadable) {
		bpf_ringbuf_discard(record, 0);
		count(COUNTER_UNREADABLE);
	} else {
		fill_part(record, walk, RECORD_ARGV);
		record->header.data_length = length;
		submit(record);
	}
	walk->offset += length;
	return walk->start + walk->offset >= walk->end;
}

/* Looks at one variable, or at the next piece of a long one; copies it when its name starts with CODEX_. */
static long copy_variable(__u32 index, struct walk_pointer *pointer)
{
	struct walk *walk = pointer->walk;
	char text[VARIABLE_BYTES];
	long length;

	if (walk->start >= walk->end)
		return 1;
	length = bpf_probe_read_user_str(text, sizeof(text), (void *)walk->start);
	if (length <= 0) {
		count(COUNTER_UNREADABLE);
		return 1;
	}

	__u32 cut = length == sizeof(text);

	if (!walk->inside_variable && length > 6 && text[0] == 'C' && text[1] == 'O' && text[2] == 'D' &&
	    text[3] == 'E' && text[4] == 'X' && text[5] == '_') {
		struct exec_part_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record) + VARIABLE_BYTES, 0);

		if (!record) {
			count(COUNTER_PROCESS_RING_FULL);
		} else {
			fill_part(record, walk, RECORD_VARIABLE);
			record->header.data_length = length - 1;
			__builtin_memcpy(record->data, text, VARIABLE_BYTES);
			submit(record);
			if (cut)
				count(COUNTER_VARIABLE_CUT);
		}
	}
	/* A full buffer ends in a NUL of the helper's own: the variable goes on at its last byte. */
	walk->start += cut ? length - 1 : length;
	walk->inside_variable = cut;
	return 0;
}

/* A process that was not followed until now begins a program. Follows it when its name begins like a watched one. */
static __always_inline struct process *find_by_name(__u32 pid)
{
	struct process process = { .root_pid = pid };
	__u64 name[2] = {};

	bpf_get_current_comm(name, sizeof(name));
	for (__u32 i = 0; i < MAX_NAMES; i++) {
		__u32 key = i;
		struct watched_name *watched = bpf_map_lookup_elem(&names, &key);

		if (!watched || !watched->is_used)
			return 0;
		if ((name[0] ^ watched->head[0]) & watched->mask[0] || (name[1] ^ watched->head[1]) & watched->mask[1])
			continue;
		process.flags = watched->flags;
		if (bpf_map_update_elem(&processes, &pid, &process, BPF_ANY)) {
			count(COUNTER_PROCESSES_FULL);
			return 0;
		}
		return bpf_map_lookup_elem(&processes, &pid);
	}
	return 0;
}

SEC("raw_tp/sched_process_exec")
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[0];
	struct linux_binprm *binary = (void *)ctx->args[2];
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct process *process = bpf_map_lookup_elem(&processes, &pid);
	int is_new = !process;

	if (is_new)
		process = find_by_name(pid);
	if (!process)
		return 0;

	/* Whether it is followed for its name is still to be decided. */
	if (is_new || !is_known(BPF_CORE_READ(binary, file)))
		announce(RECORD_PROGRAM, process->root_pid);

	__u64 id = bpf_get_current_pid_tgid();
	__u64 exec_time = bpf_ktime_get_ns();
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct walk fresh = {
		.start = BPF_CORE_READ(mm, env_start),
		.end = BPF_CORE_READ(mm, env_end),
		.exec_time = exec_time,
		.root_pid = process->root_pid,
	};
	__u64 argv_length = BPF_CORE_READ(mm, arg_end) - BPF_CORE_READ(mm, arg_start);
	struct walk_pointer pointer;

	bpf_map_update_elem(&walks, &id, &fresh, BPF_ANY);
	pointer.walk = bpf_map_lookup_elem(&walks, &id);
	if (pointer.walk) {
		bpf_loop(MAX_VARIABLES, copy_variable, &pointer, 0);
		if (pointer.walk->start < pointer.walk->end)
			count(COUNTER_ENVIRONMENT_OVER_LIMIT);

		pointer.walk->start = BPF_CORE_READ(mm, arg_start);
		pointer.walk->end = pointer.walk->start + argv_length;
		if (argv_length > ARGV_LIMIT_BYTES) {
			pointer.walk->end = pointer.walk->start + ARGV_LIMIT_BYTES;
			count(COUNTER_ARGV_OVER_LIMIT);
		}
		if (argv_length > 0)
			bpf_loop(ARGV_LIMIT_BYTES / CHUNK_BYTES + 1, copy_argv, &pointer, 0);
		bpf_map_delete_elem(&walks, &id);
	} else {
		count(COUNTER_EXECS_FULL);
	}

	record_directory(task, (__u32)id, exec_time, process->root_pid);

	struct exec_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record) {
		count(COUNTER_PROCESS_RING_FULL);
		return 0;
	}
	fill_header(&record->header, RECORD_EXEC, exec_time, process->root_pid);
	record->exec_time = exec_time;
	record->argv_length = argv_length;
	record->parent_pid = parent_of(task);
	__u64 owner = bpf_get_current_uid_gid();
	record->uid = (__u32)owner;
	record->gid = owner >> 32;
	record->reserved = 0;
	record->path[0] = 0;
	bpf_probe_read_kernel_str(record->path, sizeof(record->path), BPF_CORE_READ(binary, filename));
	submit(record);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[0];
	__u64 id = bpf_get_current_pid_tgid();
	__u32 pid = id >> 32;
	struct process *process = bpf_map_lookup_elem(&processes, &pid);

	if (!process)
		return 0;
	/* The thread may have been inside a TLS call. */
	bpf_map_delete_elem(&calls, &id);

	struct signal_struct *signal = BPF_CORE_READ(task, signal);

	/* The process ends with its last thread, whichever that is. */
	if (BPF_CORE_READ(signal, live.counter) > 0)
		return 0;

	__u32 root_pid = process->root_pid;

	if (process->flags & PROCESS_GO)
		forget_goroutines(pid);
	bpf_map_delete_elem(&processes, &pid);

	__u64 time = bpf_ktime_get_ns();

	record_directory(task, (__u32)id, time, root_pid);

	struct exit_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record) {
		count(COUNTER_PROCESS_RING_FULL);
		return 0;
	}
	fill_header(&record->header, RECORD_EXIT, time, root_pid);
	record->parent_pid = parent_of(task);
	__u64 owner = bpf_get_current_uid_gid();
	record->uid = (__u32)owner;
	record->gid = owner >> 32;
	if (BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT)
		record->status = BPF_CORE_READ(signal, group_exit_code);
	else
		record->status = BPF_CORE_READ(task, exit_code);
	submit(record);
	if (pid == root_pid)
		announce(RECORD_END, root_pid);
	return 0;
}

#endif
