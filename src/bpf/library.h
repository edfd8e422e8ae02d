/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * TLS libraries that a process maps while it runs: announced, so that they can be probed before they are used.
 */
#ifndef AGSIGHT_LIBRARY_H
#define AGSIGHT_LIBRARY_H

#include "descriptor.h"
#include "known-file.h"
#include "maps.h"

#define MAP_EXECUTABLE 0x4

/* Whether it is mmap() of code. The loader maps a library's code long before the library is used. */
static __always_inline int maps_code(__u32 number, const __u64 *arguments)
{
	return number == CALL_NUMBER(9, 222) && arguments[2] & MAP_EXECUTABLE && (int)arguments[4] >= 0;
}

/* Code of the file at `descriptor` is about to be mapped. */
static __always_inline void library_call_enter(struct process *process, __u32 descriptor)
{
	struct file *file = file_of(descriptor);
	char name[8] = {};

	if (!file || bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(file, f_path.dentry, d_name.name)) < 6)
		return;
	if (name[0] != 'l' || name[1] != 'i' || name[2] != 'b')
		return;
	if (!(name[3] == 's' && name[4] == 's' && name[5] == 'l') && !(name[3] == 'g' && name[4] == 'n' && name[5] == 'u' && name[6] == 't'))
		return;
	if (!is_known(file))
		announce(RECORD_LIBRARY, process->root_pid);
}

#endif
