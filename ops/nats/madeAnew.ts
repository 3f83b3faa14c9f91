/** What a nats-server makes in a home that was taken away from under it, and how it is taken away again. */
import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { configPath } from '#ops/home.ts'
import { storeFolder } from './store.ts'

const below = (folder: string): readonly string[] => (existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [])

/** A consumer that is read once, and ends with its reader: its folder holds a place in a stream and nothing else. */
const isPassing = (path: string): boolean => /\/obs\/oc_[^/]+$/.test(path)

/** What we put beside the streams for the sake of room, in a store that was there again for a moment. */
const ROOM = ['reserve', 'reserve.new', '.trial']

/**
 * Takes away the folders that the nats-server of a lost home made of its consumers after the home was gone, once it ended, so that nothing
 * stands at the path. A reader that asks for a consumer in that moment is enough for it to make the whole path.
 *
 * Nothing with a message in it is touched, nor a home with a config.json: what is at the path by now may be somebody's copy that is just
 * being unpacked, so removing the home as a whole would be simpler, and wrong.
 */
export const removeMadeAnew = (home: string): void => {
  if (existsSync(configPath(home))) return
  const store = storeFolder(home)
  for (const account of below(join(store, 'jetstream')))
    for (const stream of below(join(account, 'streams'))) {
      for (const consumer of below(join(stream, 'obs')).filter(isPassing)) rmSync(consumer, { recursive: true, force: true })
      removeEmpty(home, join(stream, 'obs'))
    }
  if (!existsSync(home)) return
  for (const name of ROOM) rmSync(join(store, name), { force: true })
  removeEmpty(home, store)
}

/** A folder and those above it up to the home, as far as nothing is in them. */
const removeEmpty = (home: string, folder: string): void => {
  if (relative(home, folder).startsWith('..')) return
  try {
    rmdirSync(folder)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (['ENOTEMPTY', 'EEXIST', 'EBUSY'].includes(code)) return
    if (!['ENOENT', 'ENOTDIR'].includes(code)) throw error
  }
  removeEmpty(home, dirname(folder))
}
