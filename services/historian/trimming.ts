/** How room is given back, in slices: what is below the floor, has left its stream, or has no version any more. */
/** Of each object in a range of ids: versions before its last one up to the floor. */
export const OUTDATED = `DELETE FROM version WHERE object > ? AND object <= ? AND version <
  (SELECT max(other.version) FROM version AS other WHERE other.object = version.object AND other.version <= ?)`
export const EXPIRED = `DELETE FROM living WHERE collection IN (SELECT id FROM collection) AND object > ? AND object <= ?
  AND NOT EXISTS (SELECT 1 FROM version WHERE version.object = living.object)`
/** Names that nothing is known of any more. */
export const NAMELESS = 'DELETE FROM object WHERE id > ? AND id <= ? AND NOT EXISTS (SELECT 1 FROM version WHERE object = object.id)'
/** Labels and fields that no version has any more. */
export const UNSAID = `DELETE FROM said WHERE id NOT IN (SELECT labels FROM version WHERE labels IS NOT NULL)
  AND id NOT IN (SELECT fields FROM version WHERE fields IS NOT NULL)`
export const HAS = `SELECT 1 FROM version JOIN object ON object.id = version.object JOIN collection ON collection.id = object.collection
  WHERE collection.name = ? AND object.name = ? AND version.version = ?`
/** Lives are stored in the order they ended. */
export const ENDED = 'DELETE FROM gone WHERE id IN (SELECT id FROM gone ORDER BY id LIMIT ?) AND died <= ?'
