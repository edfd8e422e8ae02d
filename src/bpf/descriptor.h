/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * What a descriptor of the current process stands for. Of what the verifier knows the type of, fields are read as they
 * stand; behind a pointer to a pointer it knows none.
 */
#ifndef AGSIGHT_DESCRIPTOR_H
#define AGSIGHT_DESCRIPTOR_H

#include "kernel-types.h"

#define S_IFMT 0170000
#define S_IFREG 0100000
#define S_IFSOCK 0140000

/* Global, as all that is called often and takes plain numbers or memory: such a function the verifier examines once. */
__noinline __u64 find_file(__u32 descriptor)
{
	struct fdtable *table = bpf_get_current_task_btf()->files->fdt;
	struct file *file = 0;

	if (descriptor < table->max_fds)
		bpf_probe_read_kernel(&file, sizeof(file), table->fd + descriptor);
	return (__u64)file;
}

static __always_inline struct file *file_of(__u32 descriptor)
{
	return (struct file *)find_file(descriptor);
}

/* S_IF…, 0 where there is no file. */
static __always_inline __u32 type_of(struct file *file)
{
	return file ? BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT : 0;
}

#endif
