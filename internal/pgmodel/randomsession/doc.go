// Package randomsession makes up what clients write to PostgreSQL: messages of
// the whole protocol with the statements that the model in internal/pgmodel
// knows, proper ones and mistakes, in any order. What is written follows from
// the source of random numbers alone.
//
// What PostgreSQL 15 and 18 crash at is left out.
package randomsession
