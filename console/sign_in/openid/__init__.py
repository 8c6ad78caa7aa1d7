"""Signing in with OpenID Connect: authorization code flow with PKCE, of one issuer that the settings name.

1. `attempt`    a press of the button: state, nonce and verifier, kept in the browser's session; where to go
2. `issuer`     what the issuer says of itself, the token for a code, its keys; each asked for within seconds
3. `id_token`   who came back, by a signature of the issuer's keys and by what it says about this attempt alone
4. `answer`     the steps in between, from what the browser brought back to a subject
5. `links`      which person of the console that is: an operator said so, by issuer and subject
6. `proof`      for decisions: that the person signed in at the issuer just now, in place of the password;
               `proof_box` is what forms show of it

No account is made here and no role read from a claim. allauth's own views do this with an unchecked signature and
without a nonce: see docs/decisions/0050-openid-connect.md.
"""
