/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * Paths: the components of a directory or an open file, up to the root of its mount namespace, and the strings that
 * programs hand to the kernel. Both are collected behind an operation_record that is being made.
 */
#ifndef AGSIGHT_PATH_H
#define AGSIGHT_PATH_H

#include "maps.h"

#define NAME_BYTES 256
#define STRING_BYTES 4096
#define MAX_COMPONENTS 256
/* Two paths of two strings each. The last component of a directory may begin just below its limit. */
#define DRAFT_BYTES (4 * STRING_BYTES + 2 * NAME_BYTES)

/* An operation_record in the making: the ring hands out constant sizes only, and a path has none. */
struct draft {
	struct dentry *dentry;
	struct mount *mount;
	__u64 limit;
	/* Bytes of data so far. */
	__u64 length;
	struct operation_record record;
	__u8 data[DRAFT_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct draft);
} drafts SEC(".maps");

struct draft_pointer {
	struct draft *draft;
};

static __always_inline struct draft *new_draft(__u16 type, __u64 time, __u32 root_pid, __u32 operation)
{
	__u32 zero = 0;
	struct draft *draft = bpf_map_lookup_elem(&drafts, &zero);

	if (!draft)
		return 0;
	__builtin_memset(&draft->record, 0, sizeof(draft->record));
	fill_header(&draft->record.header, type, time, root_pid);
	draft->record.operation = operation;
	draft->length = 0;
	return draft;
}

static __always_inline void submit_draft(struct draft *draft)
{
	__u64 length = draft->length;

	CLAMP(length, DRAFT_BYTES);
	draft->record.header.data_length = length;
	if (draft->record.header.flags & (OPERATION_PATH_CUT | OPERATION_NAME_UNREADABLE))
		count(COUNTER_PATH_CUT);
	if (bpf_ringbuf_output(&ring, &draft->record, sizeof(draft->record) + length, wakeup(0)))
		count(COUNTER_OPERATION_RING_FULL);
	else
		add_one(COUNTER_RECORDS);
}

static __always_inline struct mount *mount_of(struct vfsmount *mount)
{
	return (void *)mount - __builtin_preserve_field_info(((struct mount *)0)->mnt, BPF_FIELD_BYTE_OFFSET);
}

static long copy_component(__u32 index, struct draft_pointer *pointer)
{
	struct draft *draft = pointer->draft;
	struct dentry *dentry = draft->dentry;
	struct mount *mount = draft->mount;
	struct dentry *parent = BPF_CORE_READ(dentry, d_parent);

	if (dentry == BPF_CORE_READ(mount, mnt.mnt_root) || parent == dentry) {
		struct mount *above = BPF_CORE_READ(mount, mnt_parent);

		if (above == mount || !above) {
			draft->dentry = 0;
			return 1;
		}
		draft->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		draft->mount = above;
		return 0;
	}
	if (draft->length >= draft->limit)
		return 1;

	__u64 length = draft->length;

	CLAMP(length, DRAFT_BYTES - NAME_BYTES);

	long copied = bpf_probe_read_kernel_str(draft->data + length, NAME_BYTES, BPF_CORE_READ(dentry, d_name.name));

	if (copied <= 0)
		return 1;
	draft->length = length + copied;
	draft->dentry = parent;
	return 0;
}

/* Adds the components of `path` as part `part` of the data. */
static __noinline int append_path(struct draft *draft, struct path *path, __u32 part)
{
	struct draft_pointer pointer = { draft };

	if (!draft || !path)
		return 0;

	__u64 start = draft->length;

	draft->dentry = BPF_CORE_READ(path, dentry);
	draft->mount = mount_of(BPF_CORE_READ(path, mnt));
	draft->limit = start + STRING_BYTES;
	if (!draft->dentry)
		return 0;
	bpf_loop(MAX_COMPONENTS, copy_component, &pointer, 0);
	if (draft->dentry)
		draft->record.header.flags |= OPERATION_PATH_CUT;
	draft->record.lengths[part & 3] = draft->length - start;
	return 0;
}

/* Adds a string of the calling program as part `part` of the data. */
static __always_inline void append_string(struct draft *draft, __u64 address, __u32 part)
{
	__u64 length = draft->length;

	CLAMP(length, DRAFT_BYTES - STRING_BYTES);

	long copied = bpf_probe_read_user_str(draft->data + length, STRING_BYTES, (void *)address);

	if (copied <= 0) {
		draft->record.header.flags |= OPERATION_NAME_UNREADABLE;
		return;
	}
	if (copied == STRING_BYTES)
		draft->record.header.flags |= OPERATION_PATH_CUT;
	draft->record.lengths[part & 3] = copied - 1;
	draft->length = length + copied - 1;
}

static __always_inline void describe_inode(struct draft *draft, struct inode *inode)
{
	struct super_block *file_system = BPF_CORE_READ(inode, i_sb);

	draft->record.inode = BPF_CORE_READ(inode, i_ino);
	draft->record.mode = BPF_CORE_READ(inode, i_mode);
	draft->record.device = BPF_CORE_READ(file_system, s_dev);
	draft->record.magic = BPF_CORE_READ(file_system, s_magic);
}

/* Tells where `task` is, for the fork, exec or exit of thread `tid` that is recorded next with the same time. */
static __always_inline void record_directory(struct task_struct *task, __u32 tid, __u64 time, __u32 root_pid)
{
	struct draft *draft = new_draft(RECORD_DIRECTORY, time, root_pid, 0);
	struct fs_struct *fs = BPF_CORE_READ(task, fs);

	if (!draft || !fs)
		return;
	draft->record.header.tid = tid;
	append_path(draft, &fs->pwd, 0);
	submit_draft(draft);
}

#endif
