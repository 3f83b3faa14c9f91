/** How a failure of the tool is told from any other: it said something. */

/** The tool refused a text or could not be run. `reason` is what it said. */
export class IptablesFailed extends Error {
  override readonly name = 'IptablesFailed'
}
