// Token usage as the trace bundle has it, from the usage object of a final response event.

import { countAt, objectAt } from './json.js';

export interface TokenUsage {
  input_tokens: number;
  cached_input_tokens: number;
  cache_write_input_tokens: number;
  output_tokens: number;
  reasoning_output_tokens: number;
  total_tokens: number;
}

/** Undefined when `response` has no usage or one without the two totals that are always there. */
export function tokenUsage(response: unknown): TokenUsage | undefined {
  const usage = objectAt(response, 'usage');
  const input = countAt(usage, 'input_tokens');
  const output = countAt(usage, 'output_tokens');
  if (input === undefined || output === undefined) return undefined;
  const inputDetails = objectAt(usage, 'input_tokens_details');
  return {
    input_tokens: input,
    cached_input_tokens: countAt(inputDetails, 'cached_tokens') ?? 0,
    cache_write_input_tokens: countAt(inputDetails, 'cache_write_tokens') ?? 0,
    output_tokens: output,
    reasoning_output_tokens: countAt(objectAt(usage, 'output_tokens_details'), 'reasoning_tokens') ?? 0,
    total_tokens: countAt(usage, 'total_tokens') ?? input + output,
  };
}
