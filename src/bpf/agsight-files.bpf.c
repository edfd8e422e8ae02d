/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * The kernel side with the programs that are optional: all of agsight.bpf.c, and those on system calls. A kernel
 * refuses a set of programs as a whole, so what not every kernel takes must not be in the only set.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "io-ring.h"
#include "library.h"
#include "operation.h"
#include "process.h"
#include "ring-pages.h"
#include "socket.h"
#include "tls.h"

char LICENSE[] SEC("license") = "GPL";
