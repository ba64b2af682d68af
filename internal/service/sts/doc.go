// Package sts issues temporary credentials. They are stateless: everything about a session is
// sealed into its token, so that any node can check one and none is stored.
//
// What it promises of AWS: AssumeRole (trust policy, ExternalId, session policies, session tags,
// source identity, role chaining's one hour), GetSessionToken without MFA, GetCallerIdentity.
// MFA devices, federation, SAML, web identities and provided contexts answer NotImplemented.
package sts
