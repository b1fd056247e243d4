/**
 * The name in a broker's certificate on the link port, whatever address it is dialled by: the certificate is trusted
 * for who signed it (the link CA) and what it is for, and plants move machines between addresses.
 */
export const LINK_NAME = 'link.sallyport.internal'
