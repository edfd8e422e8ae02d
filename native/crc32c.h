/* SPDX-License-Identifier: Apache-2.0
 *
 * CRC-32C by the processor's own instruction: the sum over every byte of a capture is a good part of its work.
 */
#ifndef AGSIGHT_CRC32C_H
#define AGSIGHT_CRC32C_H

#include <node_api.h>
#include <stdbool.h>

bool has_crc32c(void);
/* Only where the processor has it. */
napi_value crc32c(napi_env env, napi_callback_info info);

#endif
