// The columns of the four event tables: names and meaning as in DeepFlow's tables of the same names, those that
// apply on one host, and ours behind them. Times are microseconds since the Unix epoch, durations microseconds.

/** How ClickHouse stores a column. */
type ColumnType =
  | 'Int64'
  | 'UInt64'
  | 'UInt32'
  | 'Int32'
  | 'UInt8'
  | 'String'
  | 'LowCardinality(String)'
  | 'Array(String)'
  | 'Array(UInt32)';

export interface Column {
  name: string;
  type: ColumnType;
  /** Whether null stands where the column does not apply or is not known. */
  nullable?: true;
}

export type Cell = string | number | readonly string[] | readonly number[] | null;
export type Row = Readonly<Record<string, Cell>>;

const common: readonly Column[] = [
  { name: 'time', type: 'Int64' },
  { name: 'start_time', type: 'Int64' },
  { name: 'end_time', type: 'Int64' },
  { name: 'event_type', type: 'LowCardinality(String)' },
  { name: 'process_kname', type: 'String' },
  { name: 'pid', type: 'UInt32' },
  { name: 'root_pid', type: 'UInt32' },
  { name: 'syscall_thread', type: 'UInt32' },
];

const file: readonly Column[] = [
  { name: 'file_dir', type: 'String' },
  { name: 'file_name', type: 'String' },
  { name: 'file_type', type: 'LowCardinality(String)' },
  { name: 'path_inferred', type: 'UInt8' },
  { name: 'bytes', type: 'UInt64' },
  { name: 'duration', type: 'UInt64' },
  { name: 'offset', type: 'UInt64' },
  { name: 'access_permission', type: 'UInt32', nullable: true },
  { name: 'event_count', type: 'UInt64' },
];

/** Ours in all tables. `attribution`: how the tool call was found; all but `environment` are inferred. */
const cause: readonly Column[] = [
  { name: 'errno', type: 'UInt32' },
  { name: 'codex_thread_id', type: 'String', nullable: true },
  { name: 'tool_call_id', type: 'String', nullable: true },
  { name: 'attribution', type: 'String', nullable: true },
];

export const tables = {
  file_agg: [...common, ...file, ...cause],
  file_mgmt: [
    ...common,
    ...file,
    { name: 'target_dir', type: 'String', nullable: true },
    { name: 'target_name', type: 'String', nullable: true },
    { name: 'target_uid', type: 'UInt32', nullable: true },
    { name: 'target_gid', type: 'UInt32', nullable: true },
    { name: 'target_mode', type: 'UInt32', nullable: true },
    ...cause,
  ],
  proc_perm: [
    ...common,
    { name: 'old_uid', type: 'UInt32' },
    { name: 'old_gid', type: 'UInt32' },
    { name: 'new_uid', type: 'UInt32', nullable: true },
    { name: 'new_gid', type: 'UInt32', nullable: true },
    { name: 'new_ids', type: 'Array(UInt32)' },
    { name: 'capabilities', type: 'String', nullable: true },
    ...cause,
  ],
  proc_ops: [
    ...common,
    { name: 'parent_pid', type: 'UInt32' },
    { name: 'uid', type: 'UInt32' },
    { name: 'gid', type: 'UInt32' },
    { name: 'cmdline', type: 'String' },
    { name: 'argv', type: 'Array(String)' },
    { name: 'exec_path', type: 'String' },
    { name: 'cwd', type: 'String', nullable: true },
    { name: 'exit_code', type: 'Int32', nullable: true },
    { name: 'signal', type: 'Int32', nullable: true },
    ...cause,
  ],
} as const satisfies Record<string, readonly Column[]>;

export type TableName = keyof typeof tables;

export const tableNames = [
  'file_agg',
  'file_mgmt',
  'proc_perm',
  'proc_ops',
] as const satisfies readonly TableName[];

/** CREATE TABLE statements for ClickHouse, into which the ndjson of each table loads (FORMAT JSONEachRow). */
export function ddl(name: TableName): string {
  const columns = tables[name].map((column: Column) => {
    const type = column.nullable === true ? `Nullable(${column.type})` : column.type;
    return `  \`${column.name}\` ${type}`;
  });
  return [
    `CREATE TABLE IF NOT EXISTS ${name}_event (`,
    [...columns, '  `at` DateTime64(6) ALIAS fromUnixTimestamp64Micro(`time`)'].join(',\n'),
    `) ENGINE = MergeTree`,
    `PARTITION BY toStartOfHour(fromUnixTimestamp64Micro(\`time\`, 'UTC'))`,
    'ORDER BY (`time`, `event_type`, `root_pid`, `pid`);',
  ].join('\n');
}
