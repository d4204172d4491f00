"""The operators' console: pages on the gateway's server.

How to add a page `/holds`:

1. A module `holds_page.py` with `add_routes(console)`, and its name in `pages.py`, in the order of the navigation:

       def add_routes(console: Console) -> None:
           console.get("/holds", show, role=Role.VIEWER, nav=Nav("Holds", "h"))
           console.post("/holds", open_hold, role=Role.OPERATOR, action="hold")

   Each route has a role, which `application.py` checks before the endpoint runs. `action`: the name of a change in the
   audit trail. `Nav`: title and key (`g` and then `h`).
2. Endpoints are `async def show(request: Request) -> Response`. `console_of(request)` has `gateway` (`.store.blocking`
   is the producer for `asyncio.to_thread`) and `snapshots`; `visitor_of(request)` is who asks: `name`, `role`,
   `may(Role.OPERATOR)`. `await form_of(request)` returns the fields of a form. A change ends with
   `see_other("/holds")`, and is recorded by `recorded(ledger, visitor, "hold", target, reason)` (`auditing.py`).
   `Refused(status, text)` becomes a page in words, and so do the errors of errors.py.
3. A template `templates/holds.html`, rendered by `page(request, "holds.html", holds=holds)`. It extends `layout.html`
   and fills `title` and `main`; `_macros.html` has state, time, number, problem, empty state. All texts are escaped.
   `live` in `page(…, live=True)` lets the browser ask again every 2 s; `etag` then says whether anything changed.
4. No inline script or style: the policy forbids them. Styles are classes of `static/console.css`. Every page works as
   links and forms; the whole state is in the URL.
"""
