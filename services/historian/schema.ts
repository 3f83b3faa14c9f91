/**
 * The index on disk, as tables of SQLite. `version`: each version of each object, `sequence * 2 + (deleted ? 1 : 0)`, beside one
 * another, so that the one at a moment is one step in one tree. `living` and `gone`: from which sequence on an object was there, and
 * until which. `moment`: which sequences were decided in which millisecond. `begins` is 0, or the place of the keyframe that an index
 * began with: of before there is nothing in it. `said`: labels, and fields that lists are narrowed by, as JSON, each once; a version
 * without them may have any. `standing`: the tally of what stands at `sequence`; NULL once entries have left by themselves. `pack` and
 * `waiting`: the entries themselves (`pack.ts`).
 *
 * What was there at a moment must cost what was there, not what ever was: names of pods are random and come and go by the million. So
 * an interval of `gone` is filed under the one number between its ends that is divisible by the highest power of two (`forkOf`), and a
 * moment's intervals are under at most as many numbers as its sequence has digits (a relational interval tree: Kriegel, Pötke, Seidl,
 * "Managing Intervals Efficiently in Object-Relational Databases", VLDB 2000). An ordinary index over (born, died) would go
 * through everything that was born before; an R-tree of SQLite counts in 32-bit floats.
 */
export const VERSION = 4

export const SCHEMA = `
CREATE TABLE place (
  one INTEGER PRIMARY KEY CHECK (one = 1), identity TEXT NOT NULL, sequence INTEGER NOT NULL, chain INTEGER NOT NULL, hash BLOB,
  floor INTEGER NOT NULL, trimmed INTEGER NOT NULL, gone INTEGER NOT NULL,
  begins INTEGER NOT NULL, standing BLOB
);
CREATE TABLE collection (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE object (id INTEGER PRIMARY KEY, collection INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (collection, name));
CREATE TABLE namespace (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE said (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE version (
  object INTEGER NOT NULL, version INTEGER NOT NULL, labels INTEGER, fields INTEGER, PRIMARY KEY (object, version)
) WITHOUT ROWID;
CREATE TABLE living (
  collection INTEGER NOT NULL, object INTEGER NOT NULL, namespace INTEGER NOT NULL, born INTEGER NOT NULL, PRIMARY KEY (collection, object)
) WITHOUT ROWID;
CREATE TABLE gone (
  id INTEGER PRIMARY KEY, collection INTEGER NOT NULL, fork INTEGER NOT NULL,
  born INTEGER NOT NULL, died INTEGER NOT NULL, object INTEGER NOT NULL, namespace INTEGER NOT NULL
);
CREATE INDEX gone_born ON gone (collection, fork, born, id, object, namespace);
CREATE INDEX gone_died ON gone (collection, fork, died, id, object, namespace);
CREATE TABLE pack (last INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE waiting (sequence INTEGER PRIMARY KEY, entry TEXT NOT NULL);
CREATE TABLE moment (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, time INTEGER NOT NULL UNIQUE);
PRAGMA user_version = ${VERSION};
`

/** The highest power of two that a sequence can have in it. */
const HIGHEST = 52

/** The number in first…last, both included, that is divisible by the highest power of two. */
export const forkOf = (first: number, last: number): number => {
  for (let power = 2 ** HIGHEST; power >= 1; power /= 2) {
    const multiple = Math.floor(last / power) * power
    if (multiple >= first && multiple > 0) return multiple
  }
  return last
}

/** Every number that an interval which holds `sequence` can be filed under, while sequences go up to `last`. */
export const forksOf = (sequence: number, last: number): readonly number[] => {
  const forks: number[] = []
  for (let power = 1; power <= Math.max(sequence, last); power *= 2) forks.push(Math.floor(sequence / (2 * power)) * 2 * power + power)
  return forks
}
