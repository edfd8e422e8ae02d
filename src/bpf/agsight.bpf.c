/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * The kernel side of `agsight capture`: copies the plaintext of TLS calls and the life of processes into
 * one ring buffer. It decides nothing: which processes are followed is in the map `processes`, which
 * functions are probed, and what they are, comes with the probe as its cookie.
 *
 * Compiled once per architecture; scripts/build-bpf.js says how.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "process.h"
#include "ring-pages.h"
#include "tls.h"

char LICENSE[] SEC("license") = "GPL";
