// What the mock server says in the demo and in the end-to-end tests: one tool call, then a final answer.
// The answer is long and not ASCII, so that its last event spans several TLS records that cut characters in two.

/** @typedef {import('./mock-responses.js').Step} Step */

export const demoPrompt = 'Count the words in notes.md and report.';

/** The file that the scripted command reads, by name. */
export const demoWorkspace = { 'notes.md': '# Notes\n\nagsight watches from outside.\n' };

/** @type {Step} */
const callTool = {
  output: [
    {
      type: 'reasoning',
      id: 'rs_mock_1',
      summary: [{ type: 'summary_text', text: '**Counting the words**' }],
      encrypted_content: Buffer.from('sealed by the mock server').toString('base64'),
    },
    {
      type: 'function_call',
      id: 'fc_mock_1',
      call_id: 'call_mock_1',
      name: 'exec_command',
      arguments: JSON.stringify({ cmd: 'wc -w notes.md && id -un', yield_time_ms: 5000 }),
    },
  ],
  usage: { input: 4200, cached: 3072, output: 64, reasoning: 32 },
};

const REPORT_LINES = 1000;

/** @type {Step} */
const answer = {
  output: [
    {
      type: 'message',
      id: 'msg_mock_2',
      role: 'assistant',
      phase: 'final_answer',
      content: [
        {
          type: 'output_text',
          text: Array.from(
            { length: REPORT_LINES },
            (_, line) => `${line + 1}. Fünf Wörter — counted twice ✓ 🦉 "quoted" \\ back-slashed.`,
          ).join('\n'),
          annotations: [],
        },
      ],
    },
  ],
  usage: { input: 4300, cached: 4096, output: 9000 },
};

/** The whole run: a tool call, and after its output the final answer. */
export const demoSteps = [callTool, answer];

/** The same run, but the final answer never ends. */
export const stalledSteps = [callTool, { ...answer, stall: true }];
