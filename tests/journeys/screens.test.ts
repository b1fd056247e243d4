import { pictures } from './pictures.ts'

pictures({ isLong: false })
