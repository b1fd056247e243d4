import { vi } from 'vitest'
import { pictures } from './pictures.ts'

// Each step looks at many pages.
vi.setConfig({ testTimeout: 300_000 })
pictures({ isLong: false })
