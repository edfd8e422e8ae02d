// What other programs may use: the reducer, with the types of what it gives.

export type { InterpretationFaults } from './reduce/interpretation-anomalies.js';
export {
  BundleRejected,
  type ReduceOptions,
  type ReduceProgress,
  type ReduceResult,
  reduceBundle,
} from './reduce/reduce.js';
export type { Anomaly } from './reduce/replay.js';
export type * from './reduce/state.js';
export type { Integer } from './trace/json-value.js';
export type {
  CodeCellStatus,
  ExecutionStatus,
  RawPayloadKind,
  RawPayloadRef,
  RolloutStatus,
  SchemaVersion,
  ToolCallKind,
  ToolCallSummary,
} from './trace/raw-event.js';
