import { createBrowserRouter, type RouteObject } from 'react-router'
import { Component as Frame, PageError } from './frame/frame.tsx'

/** Every page is a chunk of its own. */
const page = (path: string, lazy: NonNullable<RouteObject['lazy']>): RouteObject => ({
  path,
  lazy,
  errorElement: <PageError />,
  hydrateFallbackElement: <></>,
})

export const router = createBrowserRouter([
  page('/sign-in', () => import('./account/sign-in.tsx')),
  page('/set-up', () => import('./account/set-up.tsx')),
  page('/stepped-up', () => import('./account/stepped-up.tsx')),
  {
    element: <Frame />,
    errorElement: <PageError />,
    children: [
      page('/', () => import('./frame/home.tsx')),
      page('/account', () => import('./account/my-account.tsx')),
      page('/work', () => import('./vendor/my-work.tsx')),
      page('/requests/new', () => import('./vendor/new-request.tsx')),
      page('/requests/:id', () => import('./vendor/request.tsx')),
      page('/requests/:id/edit', () => import('./vendor/new-request.tsx')),
      page('/requests/:id/open', () => import('./session/open.tsx')),
      page('/sessions/:id/live', () => import('./session/live.tsx')),
      page('/sessions/:id/watch', () => import('./session/watch.tsx')),
      page('/decide', () => import('./approver/decide.tsx')),
      page('/decide/:id', () => import('./approver/decision.tsx')),
      page('/history', () => import('./approver/history.tsx')),
      page('/inside', () => import('./operator/inside.tsx')),
      page('/assets', () => import('./operator/assets.tsx')),
      page('/exceptions', () => import('./operator/exceptions.tsx')),
      page('/sessions', () => import('./auditor/sessions.tsx')),
      page('/sessions/:id', () => import('./auditor/session.tsx')),
      page('/recordings/:id', () => import('./auditor/player-page.tsx')),
      page('/integrity', () => import('./auditor/integrity.tsx')),
      page('/audit', () => import('./auditor/audit-log.tsx')),
      page('/admin/sites', () => import('./administrator/sites.tsx')),
      page('/admin/assets', () => import('./administrator/assets.tsx')),
      page('/admin/assets/:id', () => import('./administrator/asset.tsx')),
      page('/admin/people', () => import('./administrator/people.tsx')),
      page('/admin/people/:id', () => import('./administrator/person.tsx')),
      page('/admin/tickets', () => import('./administrator/tickets.tsx')),
      page('/admin/rules', () => import('./administrator/rules.tsx')),
      page('/admin/gateways', () => import('./administrator/gateways.tsx')),
      page('*', () => import('./frame/not-found.tsx')),
    ],
  },
])
