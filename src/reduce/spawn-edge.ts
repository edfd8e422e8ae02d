// The id of the edge from a parent agent to a child that it spawned. The thread and the edge both name it.

export function spawnEdgeId(parentId: string, childId: string): string {
  return `edge:spawn:${parentId}:${childId}`;
}
