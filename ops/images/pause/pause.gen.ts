/** Written by buildPause.ts from pause.S and pause-arm64.S: the code bytes of the pause program, base64, and their sources' SHA-256. */
import type { Architecture } from './elf.ts'

export const PAUSE_CODE: Readonly<Record<Architecture, string>> = {
  amd64:
    'aAJAAQBIieYx/zHSQboIAAAAuA4AAAAPBUiJ5zH2MdJBuggAAAC4gAAAAA8Fg/gRdBOD+AJ0BYP4D3XdMf+45wAAAA8FSMfH/////zH2ugEAAABFMdK4PQAAAA8FSIXAf+PrtQ==',
  arm64:
    'SQCI0ikAoPLpDx/4AACA0uEDAJECAIDSAwGA0ugQgNIBAADU4AMAkQEAgNICAIDSAwGA0igRgNIBAADUH0QA8QABAFQfCADxYAAAVB88APGh/v9UAACA0sgLgNIBAADUAACAkgEAgNIiAIDSAwCA0ogggNIBAADUHwAA8Sz//1Tp//8X'
}

export const PAUSE_SOURCE: Readonly<Record<Architecture, string>> = {
  amd64: 'c98f761dc75df5cec4d38bcaafc4943ddf577ce00e1ee6cc03a4d92c71665391',
  arm64: 'f3d1fab4b830f13c7b719f3733714c6b7b5b7fd584cf89e5368d18798a64a38e'
}
