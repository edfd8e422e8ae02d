/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * Reading and writing regular files: which file, how much, and the bytes that go into a rollout file.
 */
#ifndef AGSIGHT_TRANSFER_H
#define AGSIGHT_TRANSFER_H

#include "path.h"
#include "thread.h"

#define S_IFMT 0170000
#define S_IFREG 0100000

static __always_inline struct file *file_of(__u32 descriptor)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd);
	struct file *file = 0;

	if (descriptor < BPF_CORE_READ(table, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), files + descriptor);
	return file;
}

/* rollout-….jsonl, as Codex names the files that it keeps its sessions in. */
static __always_inline int is_rollout(struct file *file)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	const unsigned char *name = BPF_CORE_READ(dentry, d_name.name);
	__u32 length = BPF_CORE_READ(dentry, d_name.len);
	char start[8], end[6];

	if (length < sizeof(start) + sizeof(end) || bpf_probe_read_kernel(start, sizeof(start), name) ||
	    bpf_probe_read_kernel(end, sizeof(end), name + length - sizeof(end)))
		return 0;
	return start[0] == 'r' && start[1] == 'o' && start[2] == 'l' && start[3] == 'l' && start[4] == 'o' &&
	       start[5] == 'u' && start[6] == 't' && start[7] == '-' && end[0] == '.' && end[1] == 'j' && end[2] == 's' &&
	       end[3] == 'o' && end[4] == 'n' && end[5] == 'l';
}

/* The call in progress reads from (0) or writes to (1) the file behind `descriptor`. */
static __noinline int begin_transfer(struct thread *thread, __u32 descriptor, __u32 direction)
{
	if (!thread)
		return 0;

	struct file *file = file_of(descriptor);
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct run *run = &thread->runs[direction & 1];

	if (!file || (BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFREG)
		return 0;

	__u64 number = BPF_CORE_READ(inode, i_ino);
	__u32 device = BPF_CORE_READ(inode, i_sb, s_dev);

	if (!run->open || run->inode != number || run->device != device) {
		report_run(thread, direction, 0);
		run->open = 0;

		struct draft *draft = new_draft(RECORD_FILE, thread->start_time, thread->root_pid,
						direction & 1 ? OPERATION_WRITE : OPERATION_READ);

		if (!draft)
			return 0;
		describe_inode(draft, inode);
		append_path(draft, &file->f_path, 0);
		submit_draft(draft);
		run->open = 1;
		run->inode = number;
		run->device = device;
		run->is_rollout = direction & 1 && is_rollout(file);
	} else if (run->count && thread->start_time - run->end_time > RUN_GAP_NS) {
		report_run(thread, direction, 0);
	}
	thread->files[direction & 1] = file;
	thread->offsets[direction & 1] = BPF_CORE_READ(file, f_pos);
	thread->moves |= 1 << (direction & 1);
	return 0;
}

static __noinline int end_transfer(struct thread *thread, __u32 direction, __s64 result, __u64 time)
{
	if (!thread || result == 0)
		return 0;

	struct run *run = &thread->runs[direction & 1];
	__u64 offset = thread->offsets[direction & 1];

	if (result < 0)
		report_run(thread, direction, 0);
	if (run->count == 0)
		run->start_time = thread->start_time;
	run->end_time = time;
	run->duration += time - thread->start_time;
	run->count++;
	if (result < 0) {
		report_run(thread, direction, (__u32)-result);
		return 0;
	}
	run->bytes += result;
	if (offset > run->offset)
		run->offset = offset;
	return 0;
}

#endif
