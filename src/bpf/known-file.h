/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * Files that user space has looked into and needs to hear no more of: nearly all that a target runs is run often.
 */
#ifndef AGSIGHT_KNOWN_FILE_H
#define AGSIGHT_KNOWN_FILE_H

#include "kernel-types.h"

struct file_key {
	__u64 inode;
	__u64 size;
	__u64 device; /* as the kernel has it: major number << 20 | minor number */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct file_key);
	__type(value, __u32);
} known_files SEC(".maps");

static __always_inline int is_known(struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct file_key key = {
		.inode = BPF_CORE_READ(inode, i_ino),
		.size = BPF_CORE_READ(inode, i_size),
		.device = BPF_CORE_READ(inode, i_sb, s_dev),
	};

	return bpf_map_lookup_elem(&known_files, &key) != 0;
}

#endif
