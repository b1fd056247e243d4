import { pictures } from '../journeys/pictures.ts'

pictures({ isLong: true })
