import { type CSSVariablesResolver, createTheme, type MantineColorsTuple } from '@mantine/core'

/**
 * The one theme. After ISA-101: greys for what is normal, colour only for what needs a person. Interactive things are
 * a quiet steel blue; amber asks for attention, red is an alarm; both always come with an icon and a word.
 * Every pair used for text is at least 4.5:1 (checked page by page with axe).
 */
const steel: MantineColorsTuple = [
  '#eef3f6',
  '#dde6ec',
  '#bccdd8',
  '#98b2c3',
  '#7fa6bf',
  '#668da6',
  '#4b7692',
  '#33627f',
  '#285069',
  '#1b3d53',
]
const alarm: MantineColorsTuple = [
  '#fdeceb',
  '#f9d6d4',
  '#f0aaa5',
  '#e87d76',
  '#ff9d94',
  '#d0453c',
  '#b8322a',
  '#a4241d',
  '#8a1b15',
  '#6c130f',
]

/** The library's dark greys, a little cooler: fields, disabled things, dividers. */
const darkGreys: MantineColorsTuple = [
  '#dce2e7',
  '#b7c1ca',
  '#9ba7b2',
  '#6d7984',
  '#48535d',
  '#333d45',
  '#222a31',
  '#1a2025',
  '#14191d',
  '#0e1215',
]

export const theme = createTheme({
  colors: { steel, alarm, dark: darkGreys },
  primaryColor: 'steel',
  primaryShade: { light: 7, dark: 6 },
  autoContrast: true,
  luminanceThreshold: 0.35,
  defaultRadius: 3,
  fontFamily: "'Inter Variable', system-ui, sans-serif",
  fontFamilyMonospace: "'JetBrains Mono Variable', ui-monospace, monospace",
  fontSizes: { xs: '0.75rem', sm: '0.8125rem', md: '0.875rem', lg: '1rem', xl: '1.125rem' },
  spacing: { xs: '0.375rem', sm: '0.625rem', md: '0.875rem', lg: '1.25rem', xl: '1.75rem' },
  lineHeights: { xs: '1.35', sm: '1.4', md: '1.45', lg: '1.5', xl: '1.5' },
  headings: {
    fontFamily: "'Inter Variable', system-ui, sans-serif",
    fontWeight: '620',
    sizes: {
      h1: { fontSize: '1.25rem', lineHeight: '1.3' },
      h2: { fontSize: '1rem', lineHeight: '1.35' },
      h3: { fontSize: '0.875rem', lineHeight: '1.4' },
    },
  },
  cursorType: 'pointer',
  focusRing: 'auto',
  respectReducedMotion: true,
  components: {
    Button: { defaultProps: { size: 'sm' } },
    TextInput: { defaultProps: { size: 'sm' } },
    Textarea: { defaultProps: { size: 'sm' } },
    NativeSelect: { defaultProps: { size: 'sm' } },
    PasswordInput: { defaultProps: { size: 'sm' } },
    Modal: {
      defaultProps: {
        centered: true,
        overlayProps: { backgroundOpacity: 0.45 },
        closeButtonProps: { 'aria-label': 'Close' },
        // A dialog's head is no second banner of the page.
        attributes: { header: { role: 'presentation' } },
      },
    },
    Menu: { defaultProps: { shadow: 'sm' } },
  },
})

const light = {
  '--sp-page': '#f3f4f5',
  '--sp-surface': '#ffffff',
  '--sp-sunken': '#eaecef',
  '--sp-line': '#d3d8dd',
  '--sp-line-strong': '#87929d',
  '--sp-text': '#1d242b',
  '--sp-dim': '#56616c',
  '--sp-accent': '#33627f',
  '--sp-accent-soft': '#e4ecf1',
  '--sp-bar': '#8c99a5',
  '--sp-attention-fg': '#7a4a00',
  '--sp-attention-bg': '#fff3d9',
  '--sp-attention-line': '#d9962a',
  '--sp-alarm-fg': '#9c1c16',
  '--sp-alarm-bg': '#fdeceb',
  '--sp-alarm-line': '#cc4038',
  '--sp-good-fg': '#28603f',
  '--sp-good-bg': '#eaf3ed',
  '--mantine-color-body': '#ffffff',
  '--mantine-color-text': '#1d242b',
  '--mantine-color-dimmed': '#56616c',
  '--mantine-color-default-border': '#bcc4cb',
  '--mantine-color-placeholder': '#69747f',
  '--mantine-color-error': '#9c1c16',
  '--mantine-color-anchor': '#2a5875',
}

const dark = {
  '--sp-page': '#12161a',
  '--sp-surface': '#1a2025',
  '--sp-sunken': '#0e1215',
  '--sp-line': '#2e373f',
  '--sp-line-strong': '#6d7984',
  '--sp-text': '#dce2e7',
  '--sp-dim': '#9ba7b2',
  '--sp-accent': '#7fa6bf',
  '--sp-accent-soft': '#22313b',
  '--sp-bar': '#64717c',
  '--sp-attention-fg': '#f3c163',
  '--sp-attention-bg': '#32250c',
  '--sp-attention-line': '#a87618',
  '--sp-alarm-fg': '#ff9d94',
  '--sp-alarm-bg': '#3a1815',
  '--sp-alarm-line': '#c2473d',
  '--sp-good-fg': '#88c5a2',
  '--sp-good-bg': '#15271d',
  '--mantine-color-body': '#1a2025',
  '--mantine-color-text': '#dce2e7',
  '--mantine-color-dimmed': '#9ba7b2',
  '--mantine-color-default': '#20272d',
  '--mantine-color-default-hover': '#283038',
  '--mantine-color-default-border': '#48535d',
  '--mantine-color-placeholder': '#8a96a1',
  '--mantine-color-error': '#ff9d94',
  '--mantine-color-anchor': '#9cc1d8',
}

export const variables: CSSVariablesResolver = () => ({ variables: {}, light, dark })
