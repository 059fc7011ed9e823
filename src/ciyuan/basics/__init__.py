"""The words that every stage means alike: units, money, time, grades, ids, errors. Imports nothing but the standard library."""
