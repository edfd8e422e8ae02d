// `agsight ps`: options and output; finding the agents is host/agents.ts.

import { Command } from '../commander.js';

export function psCommand(): Command {
  return new Command('ps')
    .description('list running agents: role, ports, session, version, and how their TLS would be captured')
    .option('--name <glob...>', 'list programs with these names too')
    .addHelpText(
      'after',
      '\nA ? behind a role means that its listening ports may not be seen: run it as root to see all.',
    )
    .action(async (_options: unknown, command: Command) => {
      const { json, name } = command.optsWithGlobals<{ json?: boolean; name?: string[] }>();
      const { requireLinux } = await import('../host/platform.js');
      const { findAgents } = await import('../host/agents.js');
      requireLinux('ps');
      const agents = findAgents(name);
      if (json === true) {
        console.log(JSON.stringify({ agents }, null, 2));
        return;
      }
      const { renderTable } = await import('../render/table.js');
      const rows = await import('../render/agent-rows.js');
      const { stripControl } = await import('../render/terminal.js');
      const { note } = await import('../render/notes.js');
      console.log(
        agents.length === 0 ? 'no agents found' : renderTable(rows.AGENT_HEAD, agents.map(rows.agentRow)),
      );
      for (const { pid, remarks } of agents) {
        for (const remark of remarks) note(stripControl(`agsight: process ${pid}: ${remark}`));
      }
    });
}
