/** Parts of a channel's message (MS-RDPBCGR 2.2.6.1.1). */
export const CHANNEL_HEADER = 8
export const FIRST = 1
export const LAST = 2
/** The clipboard's messages (MS-RDPECLIP 2.2.1). */
export const FORMAT_LIST = 2
export const FORMAT_LIST_RESPONSE = 3
export const FORMAT_DATA_RESPONSE = 5
