/** The transport protocols ports may name. */
export const PROTOCOLS = ['SCTP', 'TCP', 'UDP'] as const
