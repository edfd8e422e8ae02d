/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * What a descriptor of the current process stands for.
 */
#ifndef AGSIGHT_DESCRIPTOR_H
#define AGSIGHT_DESCRIPTOR_H

#include "kernel-types.h"

#define S_IFMT 0170000

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

#endif
